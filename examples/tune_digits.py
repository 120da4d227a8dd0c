"""Tunes a real model in several processes that share one study, and kills some of them on the way.

What `make run` runs. A small neural network learns scikit-learn's handwritten digits; Optuna's
TPE sampler chooses its hyper-parameters, and unpromising trials are pruned by their validation
accuracy after each epoch. The workers are processes that share nothing but the journal's folder:

    study = optuna.load_study(study_name="digits", storage=optjournal.JournalStorage("runs/digits"))
    study.optimize(objective)

On the way one worker and the journal's daemon are killed with SIGKILL; the study goes on, the
worker's trial is tried again by another one, and at the end it is checked that nothing was lost.
Run it again, and the same study is continued.

Exit status: 0 if everything that it shows held, 1 if something did not, 130 after Ctrl-C.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

import optjournal

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

EPOCHS = 25
# As many processes as cores share the work, so each computes in one thread.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
ORPHANS = "retry:3"  # what becomes of the trial of a worker that dies
WORKER_ATTR = "worker_pid"


# ---------------------------------------------------------------------------------- a worker


class Digits:
    """The objective: validation accuracy of a network trained on the digits."""

    interrupted = False

    def __init__(self) -> None:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        features, labels = load_digits(return_X_y=True)
        self._split = train_test_split(
            features / 16.0, labels, test_size=0.25, random_state=0, stratify=labels
        )

    def __call__(self, trial: Trial) -> float:
        import numpy
        from sklearn.neural_network import MLPClassifier

        trial.set_user_attr(WORKER_ATTR, os.getpid())
        model = MLPClassifier(
            hidden_layer_sizes=(trial.suggest_int("hidden", 8, 96, log=True),),
            activation=trial.suggest_categorical("activation", ["relu", "tanh", "logistic"]),
            learning_rate_init=trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            alpha=trial.suggest_float("l2", 1e-7, 1e-1, log=True),
            batch_size=trial.suggest_categorical("batch_size", [32, 64, 128]),
            random_state=trial.number,
        )
        train_x, valid_x, train_y, valid_y = self._split
        accuracy = 0.0
        for epoch in range(EPOCHS):
            model.partial_fit(train_x, train_y, classes=numpy.arange(10))
            if self.interrupted:  # scikit-learn itself would only stop the epoch
                raise KeyboardInterrupt
            accuracy = float(model.score(valid_x, valid_y))
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy


def work(arguments: argparse.Namespace) -> int:
    """One worker: asks for trials until the study has as many finished ones as are wanted."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def interrupt(_number: int, _frame: object) -> None:
        Digits.interrupted = True
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warning has a traceback

    signal.signal(signal.SIGINT, interrupt)
    objective = Digits()
    with optjournal.JournalStorage(arguments.folder) as storage:
        study = optuna.load_study(
            study_name=arguments.study,
            storage=storage,
            sampler=optuna.samplers.TPESampler(seed=os.getpid()),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=3),
        )
        finished = len(study.get_trials(deepcopy=False, states=FINISHED))
        seconds = arguments.deadline - time.monotonic()
        if finished >= arguments.until or seconds <= 0 or Digits.interrupted:
            return 0
        enough = optuna.study.MaxTrialsCallback(arguments.until, states=FINISHED)
        try:
            study.optimize(objective, callbacks=[enough], timeout=seconds)
        except KeyboardInterrupt:
            return 130
    return 0


# ---------------------------------------------------------------------------------- what is shown


class Display:
    """Events as lines, and below them one line that shows how far everything is.

    On a terminal that line is drawn again and again; in a pipe or a file it is a line now and then.
    """

    PIPE_SECONDS = 5.0
    BAR_COLUMNS = 24

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._color = self._terminal and not os.environ.get("NO_COLOR")
        self._begin = time.monotonic()
        self._drawn = self._begin - self.PIPE_SECONDS + 1.0

    def bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._color else text

    def event(self, text: str) -> None:
        clear = "\r\x1b[K" if self._terminal else ""
        print(f"{clear}{time.monotonic() - self._begin:6.1f} s  {text}", flush=True)

    def progress(self, done: int, wanted: int, text: str) -> None:
        now = time.monotonic()
        if not self._terminal:
            if now - self._drawn >= self.PIPE_SECONDS:
                self._drawn = now
                self.event(f"{done}/{wanted} trials  {text}")
            return
        filled = self.BAR_COLUMNS * min(done, wanted) // max(wanted, 1)
        bar = "█" * filled + "░" * (self.BAR_COLUMNS - filled)
        line = f"{now - self._begin:6.1f} s  {bar} {done}/{wanted} trials  {text}"
        columns = shutil.get_terminal_size().columns
        print(f"\r\x1b[K{line[: columns - 1]}", end="", flush=True)

    def end(self) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", flush=True)


# ---------------------------------------------------------------------------------- the journal


def find_program() -> str:
    """The command `optjournal`: of this environment, of this checkout's build, or in $PATH."""
    checkout = Path(__file__).resolve().parent.parent
    for path in (
        Path(sys.executable).parent / "optjournal",
        checkout / "build/release/bin/optjournal",
    ):
        if os.access(path, os.X_OK):
            return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    found = shutil.which("optjournal")
    if found is None:
        sys.exit("tune_digits: the command `optjournal` is not built; run `make build` first")
    return found


class Journal:
    """What the command line tells about the journal."""

    def __init__(self, program: str, folder: str) -> None:
        self.program = program
        self.folder = folder

    def ask(self, verb: str, *words: str) -> Any:
        command = [self.program, verb, "--json", self.folder, *words]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if answer.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {answer.stderr.strip()}")
        return json.loads(answer.stdout)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.ask("status")
        return status

    def daemon(self) -> tuple[int, float] | None:
        """Its process id, and when it began to serve (seconds since 1970)."""
        status = self.status()
        if not status["served"]:
            return None
        began = datetime.datetime.fromisoformat(status["daemon"]["started"].replace("Z", "+00:00"))
        return int(status["daemon"]["pid"]), began.timestamp()


# ---------------------------------------------------------------------------------- the main job


class Workers:
    """The worker processes; one that a signal killed is replaced."""

    REPLACEMENTS_MAX = 20

    def __init__(self, arguments: argparse.Namespace, until: int, deadline: float) -> None:
        self._arguments = arguments
        self._until = until
        self._deadline = deadline
        self._living: list[subprocess.Popen[bytes]] = []
        self.replaced = 0
        for _ in range(arguments.workers):
            self._start()

    def _start(self) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--as-worker"]
        command += ["--folder", self._arguments.folder, "--study", self._arguments.study]
        command += ["--until", str(self._until), "--deadline", str(self._deadline)]
        self._living.append(subprocess.Popen(command, env={**os.environ, **ONE_THREAD}))

    def pids(self) -> list[int]:
        return [worker.pid for worker in self._living]

    def look(self, display: Display) -> bool:
        """Replaces the killed, and forgets those that are done. False: none is left."""
        for worker in list(self._living):
            status = worker.poll()
            if status is None:
                continue
            self._living.remove(worker)
            if status > 0:
                raise RuntimeError(f"worker {worker.pid} failed with exit status {status}")
            if status < 0:
                self.replaced += 1
                if self.replaced > self.REPLACEMENTS_MAX:
                    raise RuntimeError("workers are killed again and again")
                self._start()
                name = signal.Signals(-status).name
                display.event(
                    f"worker {worker.pid} was killed by {name};"
                    f" {self._living[-1].pid} takes its place"
                )
        return bool(self._living)

    def end(self) -> None:
        for worker in self._living:
            worker.send_signal(signal.SIGINT)
        for worker in self._living:
            try:
                worker.wait(10)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


class Run:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.display = Display()
        self.journal = Journal(find_program(), arguments.folder)
        self.problems: list[str] = []
        self.orphan: FrozenTrial | None = None
        self.retry: FrozenTrial | None = None
        self.before_kill: list[FrozenTrial] = []
        self.served_again_s: float | None = None
        self.daemon_killed = False

    def check(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def main(self) -> int:
        arguments = self.arguments
        Path(arguments.folder).parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with optjournal.JournalStorage(arguments.folder, name="tune_digits") as storage:
            study = optuna.create_study(
                study_name=arguments.study,
                storage=storage,
                direction="maximize",
                load_if_exists=True,
            )
            storage.set_orphan_policy(study, ORPHANS)
            self.old = study.get_trials(deepcopy=False)
            done = sum(trial.state in FINISHED for trial in self.old)
            if self.old:
                self.display.event(
                    f'continuing study "{arguments.study}" in {arguments.folder}: '
                    f"{len(self.old)} trials so far, best {study.best_value:.4f}"
                    if done
                    else f'continuing study "{arguments.study}" in {arguments.folder}'
                )
            else:
                self.display.event(f'new study "{arguments.study}" in {arguments.folder}')
            daemon = self.journal.daemon()
            self.display.event(
                f"daemon {daemon[0] if daemon else '?'} serves it; there is nothing else to start"
            )
            self.deadline = deadline = began + arguments.time_limit
            workers = Workers(arguments, done + arguments.trials, deadline)
            self.display.event(f"{arguments.workers} workers start: {workers.pids()}")
            try:
                self.watch(study, workers, done, deadline)
            finally:
                workers.end()
            self.display.end()
            return self.report(study, done)

    def watch(self, study: optuna.Study, workers: Workers, done: int, deadline: float) -> None:
        wanted, limit = self.arguments.trials, self.arguments.time_limit
        first: float | None = None
        while workers.look(self.display):
            time.sleep(0.1)
            trials = study.get_trials(deepcopy=False)
            new = trials[len(self.old) :]
            count = sum(trial.state in FINISHED for trial in trials) - done
            if new and first is None:
                first = time.monotonic()
                self.first_trial_at = first
            rate = count / (time.monotonic() - first) if first and count else 0.0
            pruned = sum(trial.state == TrialState.PRUNED for trial in new)
            running = sum(trial.state == TrialState.RUNNING for trial in new)
            complete = [t for t in trials if t.state == TrialState.COMPLETE]
            best = max(complete, key=lambda t: t.value or 0.0, default=None)
            text = f"{rate:.1f}/s  running {running}  pruned {pruned}"
            if best is not None:
                text += f"  best {best.value:.4f} (#{best.number})"
            self.display.progress(count, wanted, text)
            if not self.arguments.no_kill:
                # By the work done, or on a slow machine by the time passed.
                share = max(count / wanted, 1 - (deadline - time.monotonic()) / limit)
                if self.orphan is None and share >= 0.25:
                    self.kill_a_worker(study, workers)
                if self.orphan is not None and not self.daemon_killed and share >= 0.5:
                    self.kill_the_daemon(study)
            if time.monotonic() > deadline + 120:
                raise RuntimeError("the workers do not end although their time is over")
        self.ended_at = time.monotonic()

    def kill_a_worker(self, study: optuna.Study, workers: Workers) -> None:
        """SIGKILL for a worker in a trial; it is stopped first, to be sure that it is in it."""
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            pid = trial.user_attrs.get(WORKER_ATTR)
            if pid not in workers.pids() or not trial.params:
                continue
            os.kill(pid, signal.SIGSTOP)
            now = study.get_trials(deepcopy=False)[trial.number]
            if now.state != TrialState.RUNNING:
                os.kill(pid, signal.SIGCONT)
                continue
            self.orphan = now
            os.kill(pid, signal.SIGKILL)
            self.display.event(
                f"kill -9 {pid}: a worker, in trial {now.number}"
                f" after {len(now.intermediate_values)} epochs"
            )
            return

    def kill_the_daemon(self, study: optuna.Study) -> None:
        former = self.journal.daemon()
        if former is None:
            return
        pid = former[0]
        self.daemon_killed = True
        self.before_kill = study.get_trials(deepcopy=False)
        killed = time.time()
        os.kill(pid, signal.SIGKILL)
        self.display.event(f"kill -9 {pid}: the daemon")
        while time.time() - killed < 20:
            time.sleep(0.005)
            try:
                new = self.journal.daemon()
            except RuntimeError:  # between two daemons
                continue
            if new is not None and new[0] != pid:
                self.served_again_s = new[1] - killed
                self.display.event(
                    f"daemon {new[0]}, begun {self.served_again_s * 1e3:.0f} ms later, serves it"
                    " again; the workers go on"
                )
                return
        self.display.event("no new daemon within 20 s")

    def report(self, study: optuna.Study, done: int) -> int:
        trials = study.get_trials(deepcopy=False)
        new = trials[len(self.old) :]
        self.judge(trials, done)
        say, bold = print, self.display.bold
        finished = sum(trial.state in FINISHED for trial in new)
        seconds = self.ended_at - getattr(self, "first_trial_at", self.ended_at)
        say()
        if any(trial.state == TrialState.COMPLETE for trial in trials):
            best = study.best_trial
            say(bold(f"Best trial: #{best.number}, accuracy {best.value:.4f}"))
            for name, value in best.params.items():
                say(
                    f"  {name:<14} {value:.3g}"
                    if isinstance(value, float)
                    else f"  {name:<14} {value}"
                )
        say(
            f"\n{finished} trials in {seconds:.1f} s:"
            f" {finished / max(seconds, 1e-9):.1f} trials per second"
            f" in {self.arguments.workers} processes"
        )
        self.say_what_was_killed(new)
        self.say_what_it_holds()
        self.say_what_to_type()
        if self.problems:
            say("\nWhat did not hold:", file=sys.stderr)
            for problem in self.problems:
                say(f"  {problem}", file=sys.stderr)
            return 1
        return 0

    def judge(self, trials: list[FrozenTrial], done: int) -> None:
        """Everything that this run claims to show."""
        numbers = [trial.number for trial in trials]
        self.check(numbers == list(range(len(trials))), f"trial numbers are not 0..n-1: {numbers}")
        for before in [*self.old, *self.before_kill]:
            if before.state in FINISHED:
                now = trials[before.number]
                same = (now.state, now.values, now.params) == (
                    before.state,
                    before.values,
                    before.params,
                )
                self.check(same, f"trial {before.number} was finished and is not what it was")
        new = trials[len(self.old) :]
        killed = self.orphan.number if self.orphan else None
        failed = [t.number for t in new if t.state == TrialState.FAIL and t.number != killed]
        self.check(not failed, f"trials failed: {failed}")
        finished = sum(trial.state in FINISHED for trial in trials) - done
        if self.ended_at < self.deadline:
            wanted = self.arguments.trials
            self.check(finished >= wanted, f"{finished} of {wanted} trials finished")
        else:
            print(f"The time limit of {self.arguments.time_limit:.0f} s ended it.")
        if self.arguments.no_kill:
            return
        self.check(self.orphan is not None, "no worker could be killed in the middle of a trial")
        if self.orphan is not None:
            now = trials[self.orphan.number]
            self.check(now.state == TrialState.FAIL, f"the orphan {now.number} is {now.state.name}")
            self.check(now.params == self.orphan.params, f"the orphan {now.number} lost parameters")
            again = [t for t in new if t.system_attrs.get("failed_trial") == now.number]
            self.check(len(again) == 1, f"the orphan {now.number} was retried {len(again)} times")
            self.retry = again[0] if again else None
            if self.retry is not None and self.ended_at < self.deadline:
                state, params = self.retry.state, self.retry.params
                self.check(state in FINISHED, f"its retry {self.retry.number} is {state.name}")
                same = all(params.get(name) == value for name, value in now.params.items())
                self.check(same, f"its retry {self.retry.number} has other parameters")
        self.check(self.daemon_killed, "the daemon could not be killed")
        self.check(self.served_again_s is not None, "no new daemon took over")
        later = [t for t in new[len(self.before_kill) - len(self.old) :] if t.state in FINISHED]
        self.check(bool(later), "no trial was begun and finished after the daemon was killed")

    def say_what_was_killed(self, new: list[FrozenTrial]) -> None:
        if self.orphan is not None:
            print(
                f"Killed on the way: a worker in trial {self.orphan.number}, which failed with"
                f" the {len(self.orphan.intermediate_values)} epochs that it had reported"
                + (f" and was tried again as {self.retry.number}" if self.retry else "")
            )
        if self.served_again_s is not None:
            after = len(new) - (len(self.before_kill) - len(self.old))
            print(
                "Killed on the way: the daemon; the next one began after"
                f" {self.served_again_s * 1e3:.0f} ms, {after} trials begun since, none lost"
            )

    def say_what_it_holds(self) -> None:
        status = self.journal.status()
        give_up = time.monotonic() + 5
        while (
            status["served"]
            and status["synced"] < status["published"]
            and time.monotonic() < give_up
        ):
            time.sleep(0.02)
            status = self.journal.status()
        self.check(status["served"], "no daemon serves the journal at the end")
        if not status["served"]:
            return
        self.check(status["synced"] == status["published"], "not everything published was synced")
        trials = self.journal.ask("trials", "--", self.arguments.study)
        states = {state: sum(t["state"] == state.name for t in trials) for state in TrialState}
        orphans = [trial["number"] for trial in trials if trial["orphan"]]
        self.check(not orphans, f"trials of dead workers were left: {orphans}")
        by_state = ", ".join(f"{n} {state.name}" for state, n in states.items() if n)
        print(f"\nThe journal holds {len(trials)} trials: {by_state}")
        print(
            f"  {status['published']} records, {status['synced']} of them synced;"
            f" {status['disk_bytes'] / 2**20:.1f} MiB on disk in {status['segments']} segments;"
            f" {status['syncs']} syncs since the daemon started,"
            f" the longest {status['sync_ns_max'] / 1e6:.1f} ms"
        )

    def say_what_to_type(self) -> None:
        program, folder, study = self.journal.program, self.arguments.folder, self.arguments.study
        python = (
            os.path.relpath(sys.executable)
            if Path(sys.executable).is_relative_to(Path.cwd())
            else sys.executable
        )
        script = os.path.relpath(__file__)
        again = f"{python} {script} --folder {folder} --study {study}"
        print(f"\nWatch it live      {program} tail -f {folder}")
        print(f"List its studies   {program} studies {folder}")
        print(f"List its trials    {program} trials {folder} {study}")
        print(f"Continue it        {again}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Tune a digit classifier in several processes that share one journal,"
        " killing a worker and the daemon on the way.",
        epilog="Run it again with the same folder and study to continue.",
    )
    parser.add_argument(
        "--folder", default="runs/digits", help="the journal (default: %(default)s)"
    )
    parser.add_argument("--study", default="digits", help="the study's name (default: %(default)s)")
    parser.add_argument(
        "--trials", type=int, default=150, help="trials of this run (default: %(default)s)"
    )
    parser.add_argument(
        "--workers", type=int, default=4, help="worker processes (default: %(default)s)"
    )
    parser.add_argument(
        "--time-limit", type=float, default=60.0, metavar="SECONDS",
        help="no trial is begun later than this (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--no-kill", action="store_true", help="kill nobody")
    parser.add_argument("--as-worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--until", type=int, default=0, help=argparse.SUPPRESS)
    # Of time.monotonic(), which all processes of one boot share.
    parser.add_argument("--deadline", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.trials < 1 or arguments.workers < 1 or not arguments.time_limit > 0:
        parser.error("--trials, --workers and --time-limit must be positive")
    if arguments.workers < 2 and not arguments.no_kill:
        parser.error("with one worker there is nobody to go on when it is killed; give --no-kill")
    return arguments


def main() -> int:
    arguments = parse()
    if arguments.as_worker:
        return work(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return Run(arguments).main()
    except KeyboardInterrupt:
        print("\ninterrupted; run it again to continue the study", file=sys.stderr)
        return 130
    except (RuntimeError, OSError, ValueError, optjournal.JournalError) as error:
        print(f"\ntune_digits: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

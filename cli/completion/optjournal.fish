# fish completion for optjournal.
# SPDX-License-Identifier: MIT

set -l verbs tail top status studies trials orphans doctor stop dashboard version

function __optjournal_studies
    # The first word after the verb that is no option is the location.
    set -l words (commandline -opc)
    set -l location
    for word in $words[3..-1]
        if not string match -q -- '-*' $word
            set location $word
            break
        end
    end
    test -n "$location"; or return
    # Names that a shell word can hold as they are; others are left to the user.
    optjournal --color=never studies --json -- $location 2>/dev/null |
        string replace -rf '^\{"id":[0-9]*,"name":"([A-Za-z0-9_.:@%+-]*)",.*' '$1'
end

complete -c optjournal -f
complete -c optjournal -s h -l help -d 'Print this help and exit'
complete -c optjournal -l color -x -a 'auto always never' -d 'Colour'
complete -c optjournal -n "not __fish_seen_subcommand_from $verbs" -l version -d 'Print the versions, as the verb does, and exit'
complete -c optjournal -n "not __fish_seen_subcommand_from $verbs" -a tail -d 'Print records, one line each; with -f live'
complete -c optjournal -n "not __fish_seen_subcommand_from $verbs" -a top -d 'Workers, studies and daemon on one screen, live'
complete -c optjournal -n "not __fish_seen_subcommand_from $verbs" -a status -d 'Who serves and uses a journal, how full and how far it is'
complete -c optjournal -n "not __fish_seen_subcommand_from $verbs" -a studies -d 'The studies of a journal: trials by state, best value'
complete -c optjournal -n "not __fish_seen_subcommand_from $verbs" -a trials -d 'The trials of a study as a table, JSON or CSV'
complete -c optjournal -n "not __fish_seen_subcommand_from $verbs" -a orphans -d 'What becomes of a study\'s trials whose workers died'
complete -c optjournal -n "not __fish_seen_subcommand_from $verbs" -a doctor -d 'Look for the usual troubles, and say what to type'
complete -c optjournal -n "not __fish_seen_subcommand_from $verbs" -a stop -d 'Ask the daemon to sync everything and end'
complete -c optjournal -n "not __fish_seen_subcommand_from $verbs" -a dashboard -d 'Serve optuna-dashboard over the journal'
complete -c optjournal -n "not __fish_seen_subcommand_from $verbs" -a version -d 'Versions of program, library and formats'
complete -c optjournal -n "__fish_seen_subcommand_from tail top status studies trials orphans doctor stop dashboard" -a '(__fish_complete_directories)'

complete -c optjournal -n "__fish_seen_subcommand_from tail" -s f -l follow -d 'Go on: print records as they are published, across restarts of the daemon'
complete -c optjournal -n "__fish_seen_subcommand_from tail" -s n -l lines -x -d 'The last N records (default 10)'
complete -c optjournal -n "__fish_seen_subcommand_from tail" -l from -x -a 'start now' -d 'From record SEQ on, from the start, or only what is new (now)'
complete -c optjournal -n "__fish_seen_subcommand_from tail" -l study -x -a '(__optjournal_studies)' -d 'Only records of this study'
complete -c optjournal -n "__fish_seen_subcommand_from tail" -l trial -x -d 'Only of trials with these numbers in their study'
complete -c optjournal -n "__fish_seen_subcommand_from tail" -l op -x -a 'createStudy deleteStudy setStudyUserAttr setStudySystemAttr createTrial setTrialParam setTrialStateValues setTrialIntermediateValue setTrialUserAttr setTrialSystemAttr sessionStarted sessionEnded tombstone endOrphan' -d 'Only these operations, for instance createTrial'
complete -c optjournal -n "__fish_seen_subcommand_from tail" -l state -x -a 'running complete pruned fail waiting' -d 'Only what brings a trial into one of these states'
complete -c optjournal -n "__fish_seen_subcommand_from tail" -l worker -x -d 'Only of this worker: pid, command, or command[pid]'
complete -c optjournal -n "__fish_seen_subcommand_from tail" -l since -x -d 'Only records written at this time or later'
complete -c optjournal -n "__fish_seen_subcommand_from tail" -l until -x -d 'Only records written before; -f ends then'
complete -c optjournal -n "__fish_seen_subcommand_from tail top status studies trials orphans doctor" -l json -d 'JSON'
complete -c optjournal -n "__fish_seen_subcommand_from trials" -l csv -d 'CSV (RFC 4180), times in UTC, numbers exact'
complete -c optjournal -n "__fish_seen_subcommand_from trials" -l attrs -d 'Also the user attributes (table and CSV)'
complete -c optjournal -n "__fish_seen_subcommand_from trials" -l state -x -a 'running complete pruned fail waiting' -d 'Only trials in these states, for instance complete,pruned'
complete -c optjournal -n "__fish_seen_subcommand_from trials" -l limit -x -d 'The newest N trials only'
complete -c optjournal -n "__fish_seen_subcommand_from trials" -a '(__optjournal_studies)'
complete -c optjournal -n "__fish_seen_subcommand_from orphans" -a '(__optjournal_studies) keep fail retry: optuna unset'
complete -c optjournal -n "__fish_seen_subcommand_from stop" -l timeout -x -d 'Seconds to wait for its end (default 30)'
complete -c optjournal -n "__fish_seen_subcommand_from dashboard" -l host -x -d 'Address to listen on (default 127.0.0.1)'
complete -c optjournal -n "__fish_seen_subcommand_from dashboard" -l port -x -d 'Port to listen on, 0 for any (default 8080)'
complete -c optjournal -n "__fish_seen_subcommand_from top" -l once -d 'Print it once, with rates of one interval, and end'
complete -c optjournal -n "__fish_seen_subcommand_from top" -l interval -x -d 'Seconds between looks (default 1)'

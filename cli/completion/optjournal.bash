# bash completion for optjournal.
# SPDX-License-Identifier: MIT

_optjournal_study_names() {
  # Names that a shell word can hold as they are; others are left to the user.
  optjournal --color=never studies --json -- "$1" 2>/dev/null |
    sed -n 's/^{"id":[0-9]*,"name":"\([A-Za-z0-9_.:@%+-]*\)",.*/\1/p'
}

_optjournal() {
  local verbs="tail top status studies trials orphans doctor stop dashboard version"
  local operations="createStudy deleteStudy setStudyUserAttr setStudySystemAttr createTrial setTrialParam
    setTrialStateValues setTrialIntermediateValue setTrialUserAttr setTrialSystemAttr sessionStarted sessionEnded
    tombstone endOrphan"
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local verb="" location="" count=0 word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word=${COMP_WORDS[i]}
    case $word in
      -n | --lines | --interval | --from | --study | --trial | --op | --worker | --since | --until | --state | --limit | --timeout | --host | --port | --color) ((++i)) ;;
      -*) ;;
      *)
        if [[ -z $verb ]]; then
          verb=$word
        else
          [[ $count -eq 0 ]] && location=$word
          ((++count))
        fi
        ;;
    esac
  done

  case $previous in
    --color) mapfile -t COMPREPLY < <(compgen -W "auto always never" -- "$current"); return ;;
    --from) mapfile -t COMPREPLY < <(compgen -W "start now" -- "$current"); return ;;
    --state) mapfile -t COMPREPLY < <(compgen -W "running complete pruned fail waiting" -- "$current"); return ;;
    --op)
      mapfile -t COMPREPLY < <(compgen -W "createStudy deleteStudy setStudyUserAttr setStudySystemAttr createTrial \
        setTrialParam setTrialStateValues setTrialIntermediateValue setTrialUserAttr setTrialSystemAttr sessionStarted \
        sessionEnded tombstone endOrphan" -- "$current")
      return
      ;;
    --study)
      [[ -n $location ]] && mapfile -t COMPREPLY < <(compgen -W "$(_optjournal_study_names "$location")" -- "$current")
      return
      ;;
    --op) mapfile -t COMPREPLY < <(compgen -W "$operations" -- "$current"); return ;;
    -n | --lines | --interval | --limit | --timeout | --host | --port | --trial | --worker | --since | --until) return ;;
  esac

  local options="--help --color"
  case $verb in
    "") options="$verbs --help --version --color" ;;
    tail) options+=" --follow --lines --from --study --trial --op --state --worker --since --until --json" ;;
    top) options+=" --once --json --interval" ;;
    status | studies | orphans | doctor) options+=" --json" ;;
    trials) options+=" --json --csv --attrs --state --limit" ;;
    stop) options+=" --timeout" ;;
    dashboard) options+=" --host --port" ;;
  esac
  if [[ -z $verb || $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif [[ $verb == version ]]; then
    return
  elif [[ $count -eq 0 ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -d -- "$current")
  elif [[ $verb == orphans && $count -eq 2 ]]; then
    mapfile -t COMPREPLY < <(compgen -W "keep fail retry: optuna unset" -- "$current")
  elif [[ $verb == trials || $verb == orphans ]] && [[ $count -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_optjournal_study_names "$location")" -- "$current")
  fi
}

complete -F _optjournal optjournal

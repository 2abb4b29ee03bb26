"""Writes the completion for bash: one script with all commands and options in it.

A script that asks the program at every press of the Tab key would wait for Python each time. This
one contains a table, and needs nothing but bash 4 and grep. Names of endpoints and pools come from
a file that the running daemon keeps.
"""

from collections.abc import Iterable

from chatredirect.commands.description import CommandDescription, Parameter
from chatredirect.config.models import DEFAULT_SOCKET
from chatredirect.control.running import CONFIG_VARIABLE, DEFAULT_CONFIG
from chatredirect.daemon.completion_names import SUFFIX

_SCRIPT = """\
# Completion for bash, written by: python -m chatredirect.manual bash

# Sets what may follow the words $1: commands, options and argument (a value's kind).
_@NAME@_known() {
    commands='' options='' argument=''
    case $1 in
@KNOWN@
        *) return 1 ;;
    esac
}

# Sets the kind of an option's value: file, endpoint, pool, any, or the words it may be.
# $1: words and option.
_@NAME@_value() {
    case $1 in
@VALUES@
        *) return 1 ;;
    esac
}

# Adds the names of a kind ($1) that begin with $2 to COMPREPLY. The running daemon keeps them in a
# file beside its control socket ($4), which else the configuration ($3) names.
_@NAME@_names() {
    local socket=$4 kind name
    if [[ -z $socket ]]; then
        socket=$(grep -E -m 1 -o '(^|[{ ,])socket: *[^]}, #]+' "$3" 2>/dev/null)
        socket=${socket##*socket:}
        socket=${socket//[\\"\\' ]/}
        case $socket in
            '') socket=@SOCKET@ ;;
            /*) ;;
            *) socket=$(dirname "$3")/$socket ;;
        esac
    fi
    [[ -r $socket@SUFFIX@ ]] || return
    while read -r kind name; do
        if [[ $kind == "$1" && $name == "$2"* ]]; then
            COMPREPLY+=("$name")
        elif [[ $kind == "$1" && $name == "sip:$2"* ]]; then
            COMPREPLY+=("${name#sip:}")
        fi
    done <"$socket@SUFFIX@"
}

_@NAME@() {
    local line=${COMP_LINE:0:COMP_POINT} at=@COMMAND@ option='' kind='' current='' breaks=''
    local config=${@VARIABLE@:-@CONFIG@} socket=''
    local commands options argument word words i
    COMPREPLY=()
    # COMP_WORDS is cut at colons and at signs, which addresses have in them.
    read -ra words <<<"$line"
    if [[ $line != *[[:space:]] ]]; then
        current=${words[${#words[@]} - 1]}
        words=("${words[@]:0:${#words[@]} - 1}")
    fi
    for ((i = 1; i < ${#words[@]}; i++)); do
        word=${words[i]}
        if [[ -n $option ]]; then
            case $option in
                --config | -c) config=$word ;;
                --socket) socket=$word ;;
            esac
            option=''
        elif [[ $word == --*=* ]]; then
            case $word in
                --config=*) config=${word#*=} ;;
                --socket=*) socket=${word#*=} ;;
            esac
        elif _@NAME@_value "$at $word"; then
            option=$word
        elif [[ $word != -* ]] && _@NAME@_known "$at $word"; then
            at+=" $word"
        fi
    done
    if [[ $current == --*=* ]] && _@NAME@_value "$at ${current%%=*}"; then
        option=${current%%=*}
        current=${current#*=}
    fi
    if [[ -n $option ]]; then
        _@NAME@_value "$at $option"
    else
        _@NAME@_known "$at"
        kind=$argument
        if [[ $current == -* || -z $commands$argument ]]; then
            kind=$options
        elif [[ -n $commands ]]; then
            kind=$commands
        fi
    fi
    case $kind in
        any) ;;
        file)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            ;;
        endpoint | pool) _@NAME@_names "$kind" "$current" "$config" "$socket" ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$kind" -- "$current") ;;
    esac
    # bash replaces only what follows the last of its word breaks
    for word in : @ =; do
        if [[ $COMP_WORDBREAKS == *"$word"* ]]; then breaks+=$word; fi
    done
    if [[ -n $breaks && $current == *[$breaks]* ]]; then
        word=${current%"${current##*[$breaks]}"}
        COMPREPLY=("${COMPREPLY[@]#"$word"}")
    fi
}

complete -F _@NAME@ @COMMAND@
"""


def completion(root: CommandDescription) -> str:
    """The script for a program's commands."""
    known: list[str] = []
    values: list[str] = []
    for path, command in root.each():
        known.append(f"{_quoted([path])}) {_sets(command)} ;;")
        for option in command.options:
            if not option.is_flag:
                words = [f"{path} {name}" for name in option.names]
                values.append(f"{_quoted(words)}) kind='{_kind(option)}' ;;")
    script = _SCRIPT.replace("@KNOWN@", _lines(known)).replace("@VALUES@", _lines(values))
    for place, text in {
        "@NAME@": root.name.replace("-", "_"),
        "@COMMAND@": root.name,
        "@SOCKET@": DEFAULT_SOCKET,
        "@SUFFIX@": SUFFIX,
        "@CONFIG@": DEFAULT_CONFIG,
        "@VARIABLE@": CONFIG_VARIABLE,
    }.items():
        script = script.replace(place, text)
    return script


def _sets(command: CommandDescription) -> str:
    options = " ".join(name for option in command.options for name in option.names)
    parts = [f"options='{options}'"]
    if command.commands:
        parts.append(f"commands='{' '.join(each.name for each in command.commands)}'")
    if command.arguments:
        parts.append(f"argument='{_kind(command.arguments[0])}'")
    return " ".join(parts)


def _kind(parameter: Parameter) -> str:
    if parameter.choices:
        return " ".join(parameter.choices)
    if parameter.named:
        return parameter.named
    return "file" if parameter.is_path else "any"


def _quoted(words: Iterable[str]) -> str:
    return " | ".join(f"'{word}'" for word in words)


def _lines(branches: Iterable[str]) -> str:
    return "\n".join(f"        {branch}" for branch in branches)

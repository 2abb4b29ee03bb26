"""Writes the completion for bash: one script with all commands and options in it.

A script that asks the program at every press of the Tab key would wait for Python each time. This
one contains a table, and needs nothing but bash 4.
"""

from collections.abc import Iterable

from chatredirect.manual.tree import ManualCommand, Parameter

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

# Sets the kind of an option's value: file, any, or the words it may be. $1: words and option.
_@NAME@_value() {
    case $1 in
@VALUES@
        *) return 1 ;;
    esac
}

_@NAME@() {
    local current=${COMP_WORDS[COMP_CWORD]} at=@COMMAND@ option='' kind=''
    local commands options argument word i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == '=' ]]; then
            continue
        elif [[ -n $option ]]; then
            option=''
        elif _@NAME@_value "$at $word"; then
            option=$word
        elif [[ $word != -* ]] && _@NAME@_known "$at $word"; then
            at+=" $word"
        fi
    done
    if [[ $current == '=' ]]; then current=''; fi
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
        *) mapfile -t COMPREPLY < <(compgen -W "$kind" -- "$current") ;;
    esac
}

complete -F _@NAME@ @COMMAND@
"""


def completion(root: ManualCommand) -> str:
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
    return script.replace("@NAME@", root.name.replace("-", "_")).replace("@COMMAND@", root.name)


def _sets(command: ManualCommand) -> str:
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
    return "file" if parameter.is_path else "any"


def _quoted(words: Iterable[str]) -> str:
    return " | ".join(f"'{word}'" for word in words)


def _lines(branches: Iterable[str]) -> str:
    return "\n".join(f"        {branch}" for branch in branches)

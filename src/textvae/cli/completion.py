"""``completion``: scripts by which shells complete commands, options and names."""

import inspect
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro

from textvae.cli.shared import Output

BASH = """# Completion of textvae for bash; zsh reads it, too.
[[ -n ${{ZSH_VERSION-}} ]] && autoload -U +X compinit bashcompinit && compinit -u && bashcompinit
_textvae() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} words=""
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    COMPREPLY=($(compgen -W "{verbs}" -- "$current"))
    return
  fi
  (( COMP_CWORD > 2 )) && [[ " {groups} " == *" $command "* ]] && command="$command ${{COMP_WORDS[2]}}"
  if [[ $current == -* ]]; then
    case $command in
{options}
    esac
  else
    case "$command $before" in
{values}
    esac
    if [[ -z $words && $before != --* ]]; then
      case $command in
{names}
      esac
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  # Files are offered where no word fits; folders always, as each may be a run.
  [[ $current == -* || $before == --* || " {groups} " == *" $command "* ]] ||
    COMPREPLY+=($(compgen -d -- "$current"))
}}
complete -o default -F _textvae textvae
"""


@dataclass(frozen=True)
class _Command:
    """What can follow a command."""

    options: Mapping[str, tuple[str, ...] | None]
    """The values of each option; empty if any value is allowed, None if the option takes no value."""
    names: tuple[str, ...]
    """Values of its first argument, as far as they are known."""
    summary: str


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional],
    /,
) -> Output:
    """Print a script for completion in bash, zsh or fish.

    Args:
        shell: Shell to print the script for. Print it again after an update of textvae.

    Examples:
        textvae completion bash > ~/.local/share/bash-completion/completions/textvae
        textvae completion zsh >> ~/.zshrc
        textvae completion fish > ~/.config/fish/completions/textvae.fish
    """
    commands, groups = _commands()
    script = _fish(commands, groups) if shell == "fish" else _bash(commands, groups)
    return Output({"shell": shell, "script": script}, script.rstrip())


def _commands() -> tuple[dict[str, _Command], dict[str, list[str]]]:
    """Every command with its action, if it has one; and the actions of those that have some."""
    from textvae.cli import VERBS
    from textvae.cli.settings import common_options
    from textvae.data import SOURCES
    from textvae.data.catalog import PHOTOGRAPHS
    from textvae.recipes import RECIPES
    from textvae.runs.find import shipped_models

    known = {
        "MODEL": tuple(sorted(shipped_models())),
        "RECIPE": tuple(RECIPES),
        "NAME": tuple(SOURCES),
        "SOURCE": tuple(PHOTOGRAPHS),
    }
    found: dict[str, _Command] = {}
    groups: dict[str, list[str]] = {}
    for verb, function in VERBS.items():
        if isinstance(function, Mapping):
            groups[verb] = list(function)
            found |= {f"{verb} {action}": _command(part, known) for action, part in function.items()}
        elif verb == "train":
            options = {option.split()[0]: _choices(option) for option in common_options()}
            found[verb] = _Command(options, known["RECIPE"], (function.__doc__ or "").partition("\n")[0])
        else:
            found[verb] = _command(function, known)
    return found, groups


def _choices(option: str) -> tuple[str, ...] | None:
    """The values in the placeholder of an option, as of "--prior own|flow"; None where it takes no value."""
    _, _, placeholder = option.partition(" ")
    values = tuple(placeholder.split("|"))
    return None if not placeholder else values if len(values) > 1 else ()


def _command(function: Callable[..., Any], known: Mapping[str, tuple[str, ...]]) -> _Command:
    hints = get_type_hints(function, include_extras=True)
    options: dict[str, tuple[str, ...] | None] = {"--help": None}
    names: tuple[str, ...] | None = None
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        kind, *extras = get_args(hint) if get_origin(hint) is Annotated else [hint]
        choices = tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()
        facts = [extra for extra in extras if hasattr(extra, "metavar")]
        if parameter.kind is parameter.POSITIONAL_ONLY:
            called = next((str(fact.metavar).strip("[] .").split()[0] for fact in facts if fact.metavar), "")
            names = names if names is not None else choices or known.get(called, ())
        else:
            name = next((fact.name for fact in facts if fact.name), parameter.name).replace("_", "-")
            options[f"--{name}"] = None if kind is bool else choices
    return _Command(options, names or (), (function.__doc__ or "").partition("\n")[0])


def _bash(commands: Mapping[str, _Command], groups: Mapping[str, list[str]]) -> str:
    def case(pattern: str, words: Any, indent: int = 6) -> str:
        return f'{" " * indent}{pattern}) words="{" ".join(words)}";;'

    verbs = dict.fromkeys(name.split()[0] for name in commands)
    values = {
        f'"{name} {option}"': choices
        for name, command in commands.items()
        for option, choices in command.options.items()
        if choices
    }
    return BASH.format(
        verbs=" ".join([*verbs, "help"]),
        groups=" ".join(groups),
        options="\n".join(case(f'"{name}"', command.options) for name, command in commands.items()),
        values="\n".join(case(pattern, choices) for pattern, choices in values.items()),
        names="\n".join(
            [
                *(case(f'"{name}"', command.names, 8) for name, command in commands.items() if command.names),
                *(case(name, actions, 8) for name, actions in groups.items()),
            ]
        ),
    )


def _fish(commands: Mapping[str, _Command], groups: Mapping[str, list[str]]) -> str:
    lines = ["# Completion of textvae for fish."]
    for name, command in commands.items():
        verb, _, action = name.partition(" ")
        start = "__fish_use_subcommand"
        seen = f"__fish_seen_subcommand_from {verb}"
        if action:
            actions = " ".join(groups[verb])
            summary = shlex.quote(command.summary)
            lines.append(f"complete -c textvae -f -n '{seen}; and not __fish_seen_subcommand_from {actions}' "
                         f"-a {action} -d {summary}")  # fmt: skip
            seen += f"; and __fish_seen_subcommand_from {action}"
        else:
            lines.append(f"complete -c textvae -f -n {start} -a {verb} -d {shlex.quote(command.summary)}")
        if command.names:
            lines.append(f"complete -c textvae -n '{seen}' -a '{' '.join(command.names)}'")
        for option, choices in command.options.items():
            values = f" -x -a '{' '.join(choices)}'" if choices else "" if choices is None else " -r"
            lines.append(f"complete -c textvae -n '{seen}' -l {option[2:]}{values}")
    lines += [f"complete -c textvae -f -n __fish_use_subcommand -a {verb}" for verb in groups]
    return "\n".join(lines) + "\n"

"""The command line: each verb reads its arguments, calls one function of the library and prints what it returns.

Nothing heavy is imported before the verb is known, so that ``textvae --help`` answers at once.
"""

import json
import sys
from collections.abc import Callable, Sequence

from textvae.cli.drawing import chat, edit, generate, inpaint, interpolate, reconstruct
from textvae.cli.looking_after import data, doctor
from textvae.cli.measuring import caption, evaluate, reproduce
from textvae.cli.shared import Result
from textvae.cli.training import recipes, ship, sweep, train
from textvae.utils.errors import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits: 0 done, 2 a user's mistake, 130 interrupted, 1 (with a traceback) our defect."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    if as_json:
        words.remove("--json")
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        sys.exit(0)
    if words[0] == "--version":
        from textvae import __version__

        print(f"textvae {__version__}")
        sys.exit(0)
    verb, *rest = words
    try:
        if verb not in VERBS:
            raise UserError(f"there is no verb {verb!r}", f"verbs: {', '.join(VERBS)}")
        result, text = VERBS[verb](rest)
        print(json.dumps(result, indent=2, ensure_ascii=False) if as_json else text)
        sys.stdout.flush()
        sys.exit(130 if result.get("interrupted") else 0)
    except UserError as error:
        print(f"textvae: {error.cause}\n  {error.cure}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("textvae: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of stdout has left, as `head` does: nothing is wrong, and nothing more is to be said.
        sys.stderr.close()
        sys.exit(0)


def _overview() -> str:
    lines = [
        "usage: textvae VERB ... [--json]",
        "",
        "Text-to-image with variational autoencoders: trained in minutes, sampled in milliseconds.",
        "",
    ]
    lines += [f"  {name:<12}{(verb.__doc__ or '').splitlines()[0]}" for name, verb in VERBS.items()]
    lines += [
        "",
        "MODEL is a run folder or the name of a model that ships with textvae.",
        "--json prints the result of any verb as JSON. textvae VERB --help tells more.",
    ]
    return "\n".join(lines)


VERBS: dict[str, Callable[[list[str]], tuple[Result, str]]] = {
    "recipes": recipes,
    "train": train,
    "generate": generate,
    "chat": chat,
    "reconstruct": reconstruct,
    "caption": caption,
    "interpolate": interpolate,
    "edit": edit,
    "inpaint": inpaint,
    "evaluate": evaluate,
    "ship": ship,
    "reproduce": reproduce,
    "sweep": sweep,
    "data": data,
    "doctor": doctor,
}

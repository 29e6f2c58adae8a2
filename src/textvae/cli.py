"""The command line: each verb reads its arguments, calls one function of the library and prints what it returns.

Nothing heavy is imported before the verb is known, so that ``textvae --help`` answers at once.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from textvae.errors import UserError

Result = dict[str, Any]
"""What a verb found: printed as JSON with --json, else rendered by the verb's own printer."""

Model = Annotated[str, tyro.conf.Positional]


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


def _parsed(verb: str, options: Callable[..., Any], arguments: list[str]) -> Any:
    return tyro.cli(options, prog=f"textvae {verb}", args=arguments)


@dataclasses.dataclass(frozen=True)
class ExecutionOptions:
    """How to compute."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the network's arithmetic in training; auto chooses by processor and says why."""
    threads: int = 0
    """CPU threads; 0 takes the cores this process may use."""


def recipes(arguments: list[str]) -> tuple[Result, str]:
    """List what can be trained, with published and measured numbers."""

    def options() -> None:
        """List what can be trained: name, source, and published | measured numbers."""

    _parsed("recipes", options, arguments)
    from textvae.recipes import RECIPES
    from textvae.results import measured
    from textvae.runs import read_config, shipped_models

    rows, lines = {}, []
    width = max(map(len, RECIPES)) + 2
    ships = {str(read_config(path)["recipe"]): name for name, path in shipped_models().items()}
    for name, make in RECIPES.items():
        recipe, found = make(), measured(name)
        rows[name] = {
            "summary": recipe.summary,
            "source": recipe.source,
            "published": dict(recipe.published),
            "measured": found,
            "ships_as": ships.get(name),
        }
        shipped = f"; ships as {ships[name]}" if name in ships else ""
        lines.append(f"{name:<{width}}{recipe.summary}  ({recipe.source}{shipped})")
        for key in dict.fromkeys([*recipe.published, *found]):
            published = recipe.published.get(key)
            lines.append(
                f"{'':<{width}}  {key:<34}"
                f"{'-' if published is None else f'{published:.3f}':>9} | "
                f"{f'{found[key]:.3f}' if key in found else '-':>9}"
            )
    return rows, "\n".join(lines)


def train(arguments: list[str]) -> tuple[Result, str]:
    """Train a recipe into a run folder; the same command again resumes."""
    from textvae.recipes import RECIPES, recipe

    if not arguments or arguments[0].startswith("-"):
        text = f"usage: textvae train RECIPE [options]\n\nrecipes: {', '.join(RECIPES)}\n"
        if arguments[:1] in (["-h"], ["--help"]):
            return {"recipes": list(RECIPES)}, text + "textvae train RECIPE --help lists its options."
        raise UserError("textvae train needs a recipe", f"recipes: {', '.join(RECIPES)}")
    chosen, rest = _with_preset(recipe(arguments[0]), arguments[1:])
    # The recipe's own settings become the options: their names, types, defaults and docstrings are its dataclasses'.
    flow = _flow_of(chosen, rest)
    stage_two: list[Any] = []
    if flow is not None:
        stage_two = [("flow", type(flow), dataclasses.field(default_factory=lambda: flow))]
    options = dataclasses.make_dataclass(
        "TrainOptions",
        [
            ("out", Path, Path("runs") / chosen.name),
            ("prior", Literal["own", "flow"], "own" if flow is None else "flow"),
            ("model", type(chosen.model), dataclasses.field(default_factory=lambda: chosen.model)),
            ("data", str, chosen.data),
            ("trainer", type(chosen.trainer), dataclasses.field(default_factory=lambda: chosen.trainer)),
            *stage_two,
            ("sample_every", int, 5),
            ("limit", int | None, None),
            ("execution", tyro.conf.OmitArgPrefixes[ExecutionOptions], ExecutionOptions()),
        ],
        namespace={"__doc__": f"Train {chosen.name}: {chosen.summary}."},
    )
    presets = f" --preset {'|'.join(chosen.presets)} has other defaults." if chosen.presets else ""
    options.__doc__ = f"""Train {chosen.name}: {chosen.summary} ({chosen.source}).{presets}

    Attributes:
        out: The run folder. If it holds the same training, that goes on.
        data: What to train on: of recipes for photographs, any prepared set SOURCE-SIZE-ENCODER of the recipe's size.
        prior: own, the model's; flow, learned on the latents of the trained model, also of a run that was finished
            without one. Then there are options --flow.*, too.
        sample_every: Epochs between two updates of samples.png.
        limit: Train on the first so many images only.
    """
    asked = _parsed(f"train {chosen.name}", options, rest)

    from textvae.device import choose_execution
    from textvae.experiment import carry_out
    from textvae.progress import say
    from textvae.recipes.photographs import on
    from textvae.runs import read_history

    how = choose_execution(asked.execution.device, asked.execution.precision, asked.execution.threads)
    for reason in how.reasons:
        say(reason)
    flow = getattr(asked, "flow", None) if asked.prior == "flow" else None
    if asked.data != chosen.data:
        chosen = on(chosen, asked.data)
        if hasattr(asked.model, "condition_dim"):
            # The length of a condition is the set's, whatever the recipe's own set had.
            asked.model = dataclasses.replace(asked.model, condition_dim=chosen.model.condition_dim)
    settings = dataclasses.replace(chosen, model=asked.model, trainer=asked.trainer, flow=flow)
    complete = carry_out(settings, asked.out, how, asked.sample_every, asked.limit)
    history = read_history(asked.out)
    last = history[-1] if history else {}
    result: Result = {"run": str(asked.out), "complete": complete, "last": last, "interrupted": not complete}
    if not complete:
        return result, f"{asked.out}: interrupted, resumable"
    shown = "  ".join(f"{name} {value:.2f}" for name, value in last["loss"].items())
    return result, f"{asked.out}: trained in {last['seconds']:.0f} s  {shown}"


def _with_preset(chosen: Any, arguments: list[str]) -> tuple[Any, list[str]]:
    """The recipe with the defaults of ``--preset NAME``, and the arguments without it."""
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--preset=") else [word])]
    if "--preset" not in words:
        return chosen, words
    place = words.index("--preset")
    name = words[place + 1] if place + 1 < len(words) else ""
    if name not in chosen.presets:
        known = ", ".join(chosen.presets) or "none"
        raise UserError(f"{chosen.name} has no preset {name!r}", f"its presets: {known}")
    return dataclasses.replace(chosen, **chosen.presets[name]), words[:place] + words[place + 2 :]


def _flow_of(chosen: Any, arguments: list[str]) -> Any:
    """The second stage whose settings become options: the recipe's, or one that fits it where that is asked for."""
    from textvae.recipes.recipe import fitting_flow

    asked = "--prior=flow" in arguments or ("--prior", "flow") in pairwise(arguments)
    return fitting_flow(chosen) if chosen.flow is None and asked else chosen.flow


def generate(arguments: list[str]) -> tuple[Result, str]:
    """Draw pictures for one or more phrases."""

    def options(
        model: Model,
        prompts: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
        label: tuple[str, ...] = (),
        num_images: int = 8,
        seed: int = 0,
        guidance: float | None = None,
        steps: int | None = None,
        negative: str | None = None,
        out: Path = Path("generated.png"),
        scale: int = 2,
        device: str = "cpu",
    ) -> Result:
        """Draw pictures for one or more phrases, a row each.

        Args:
            model: A run folder or a model that ships with textvae.
            prompts: What to draw, such as "a dress" "an ankle boot".
            label: Class names taken literally, without reading a phrase; "none" is no class at all.
            num_images: Pictures a phrase.
            seed: Of the first picture in each row; the others count on.
            guidance: How much is made of the phrase; default: the model's. As the next two, for flow priors only.
            steps: From noise to picture; more are slower; default: the model's.
            negative: A phrase to be led away from.
            out: The PNG to write, with phrase, seed and model in its text chunks.
            scale: Enlargement of each pixel.
            device: auto, cpu, cuda or cuda:N.
        """
        if not prompts and not label:
            raise UserError("there is nothing to draw", 'give a phrase, such as "a dress"')
        if scale < 1:
            raise UserError(f"scale {scale} shows nothing", "use 1 or more")
        from textvae.device import choose_execution
        from textvae.generator import TextToImage
        from textvae.pictures import grid, save_png
        from textvae.runs import open_run

        run = open_run(model)
        generator = TextToImage.load(run, choose_execution(device).device)
        literal = [_literal_label(run.recipe.text, name) for name in label]
        phrases = [*prompts, *literal]
        pictures = generator(phrases, num_images, seed, guidance, steps, negative)
        rows = [pictures[i : i + num_images] for i in range(0, len(pictures), num_images)]
        facts = {"prompt": " | ".join(phrases), "seed": str(seed), "model": run.name, "recipe": run.recipe.name}
        led = {"guidance": guidance, "steps": steps, "negative": negative}
        facts |= {key: str(value) for key, value in led.items() if value is not None}
        save_png(grid(rows, phrases, scale), out, facts)
        return {"out": str(out), "prompts": phrases, "num_images": num_images, "seed": seed, "model": run.name}

    result = _parsed("generate", options, arguments)
    return result, f"{result['out']}: {len(result['prompts'])} x {result['num_images']} pictures"


def _literal_label(text: Any, name: str) -> str:
    from textvae.text.labels import NONE

    known = [*getattr(text, "class_names", ()), NONE]
    if name not in known:
        raise UserError(f"there is no label {name!r}", f"labels: {', '.join(known)}")
    return name


def chat(arguments: list[str]) -> tuple[Result, str]:
    """Type captions and get pictures, in the terminal and on disk."""

    def options(
        model: Model,
        out: Path = Path("chat"),
        num_images: int = 4,
        seed: int = 0,
        device: str = "cpu",
    ) -> Result:
        """Type captions and get pictures, in the terminal and on disk. Ctrl-D, quit or :q leaves; :help tells more.

        Args:
            model: A run folder or a model that ships with textvae.
            out: Folder for the PNG files, one a caption.
            num_images: Pictures a caption.
            seed: Of the first picture of each caption.
            device: auto, cpu, cuda or cuda:N.
        """
        from textvae.chat import chat
        from textvae.device import choose_execution
        from textvae.generator import TextToImage
        from textvae.runs import open_run

        run = open_run(model)
        generator = TextToImage.load(run, choose_execution(device).device)
        done = chat(generator, out, num_images, seed, {"model": run.name, "recipe": run.recipe.name})
        return {"files": [str(file) for file in done.files], "errors": done.errors}

    result: Result = _parsed("chat", options, arguments)
    return result, f"{len(result['files'])} pictures, {result['errors']} lines not understood"


def reconstruct(arguments: list[str]) -> tuple[Result, str]:
    """Encode and decode image files: originals above, reconstructions below."""

    def options(
        model: Model,
        images: Annotated[tuple[Path, ...], tyro.conf.Positional],
        prompt: str = "none",
        out: Path = Path("reconstructed.png"),
        device: str = "cpu",
    ) -> Result:
        """Encode and decode image files: originals above, reconstructions below.

        Args:
            model: A run folder or a model that ships with textvae.
            images: Picture files; they are scaled to the model's size, grey where the model is.
            prompt: What they show, in the model's words; "none" says nothing.
            out: The PNG to write.
            device: auto, cpu, cuda or cuda:N.
        """
        if not images:
            raise UserError("there is nothing to reconstruct", "name one or more image files")
        from textvae.device import choose_execution
        from textvae.generator import TextToImage
        from textvae.pictures import grid, read_picture, save_png, to_pil
        from textvae.runs import open_run

        run = open_run(model)
        generator = TextToImage.load(run, choose_execution(device).device)
        import torch

        originals = torch.stack([read_picture(path, generator.model.image_shape) for path in images])
        condition = run.recipe.text.encode([prompt]).repeat_interleave(len(images), dim=0)
        again = generator.reconstruct(originals, condition)
        facts = {"prompt": prompt, "model": run.name, "recipe": run.recipe.name}
        save_png(grid([to_pil(originals), to_pil(again)], ["original", "reconstructed"]), out, facts)
        errors = ((originals.double() - again.double()) / 255).square().flatten(1).sum(1)
        return {"out": str(out), "mse_sum": dict(zip(map(str, images), errors.tolist(), strict=True))}

    result = _parsed("reconstruct", options, arguments)
    rows = [f"{name}: squared error {value:.2f}" for name, value in result["mse_sum"].items()]
    return result, "\n".join([*rows, result["out"]])


def interpolate(arguments: list[str]) -> tuple[Result, str]:
    """Draw the way from one phrase to another, as a strip or an animation."""

    def options(
        model: Model,
        first: Annotated[str, tyro.conf.Positional],
        second: Annotated[str, tyro.conf.Positional],
        frames: int = 16,
        seed: int = 0,
        guidance: float | None = None,
        out: Path = Path("strip.png"),
        scale: int = 2,
        device: str = "cpu",
    ) -> Result:
        """Draw the way from one phrase to another, all of the same noise.

        Args:
            model: A run folder or a model that ships with textvae.
            first: Where it begins.
            second: Where it ends.
            frames: Pictures on the way, both ends included.
            seed: Of the noise.
            guidance: How much is made of the phrases; default: the model's.
            out: A .png (a strip) or .gif (an animation) to write.
            scale: Enlargement of each pixel.
            device: auto, cpu, cuda or cuda:N.
        """
        if out.suffix.lower() not in (".png", ".gif"):
            raise UserError(f"{out} is neither a .png nor a .gif", "name the file strip.png or strip.gif")
        from textvae.pictures import grid, save_png
        from textvae.play import interpolate, save_gif

        run, generator = _opened(model, device)
        pictures = interpolate(generator, first, second, frames, seed, guidance)
        if out.suffix.lower() == ".gif":
            save_gif(pictures, out, scale)
        else:
            facts = {"prompt": f"{first} | {second}", "seed": str(seed), "model": run.name}
            save_png(grid([pictures], None, scale), out, facts)
        return {"out": str(out), "first": first, "second": second, "frames": frames, "seed": seed, "model": run.name}

    result = _parsed("interpolate", options, arguments)
    return result, f"{result['out']}: {result['frames']} pictures"


def edit(arguments: list[str]) -> tuple[Result, str]:
    """Change what a picture shows, from one phrase to another, and keep the rest."""

    def options(
        model: Model,
        image: Annotated[Path, tyro.conf.Positional],
        before: Annotated[str, tyro.conf.arg(name="from")],
        after: Annotated[str, tyro.conf.arg(name="to")],
        guidance: float | None = None,
        out: Path = Path("edited.png"),
        scale: int = 4,
        device: str = "cpu",
    ) -> Result:
        """Change what a picture shows: before and after side by side, and how much was kept.

        Args:
            model: A run folder or a model that ships with textvae, with a flow prior.
            image: A picture file; it is scaled to the model's size.
            before: What it shows, in the model's words.
            after: What it shall show.
            guidance: How much is made of the new words; default: the model's.
            out: The PNG to write.
            scale: Enlargement of each pixel.
            device: auto, cpu, cuda or cuda:N.
        """
        from textvae.pictures import grid, read_picture, save_png
        from textvae.play import edit

        run, generator = _opened(model, device)
        made = edit(generator, read_picture(image, generator.model.image_shape), before, after, guidance)
        facts = {"prompt": f"{before} | {after}", "model": run.name}
        save_png(grid([[made.before, made.after]], None, scale), out, facts)
        return {"out": str(out), "change": made.change, "fresh_change": made.fresh_change, "kept": made.kept}

    result = _parsed("edit", options, arguments)
    return result, f"{result['out']}: changed by {result['change']:.3f}, kept {result['kept']:.0%}"


def complete(arguments: list[str]) -> tuple[Result, str]:
    """Fill in the part of a picture that a mask leaves open."""

    def options(
        model: Model,
        image: Annotated[Path, tyro.conf.Positional],
        mask: Path,
        prompt: str = "none",
        num_images: int = 8,
        seed: int = 0,
        guidance: float | None = None,
        out: Path = Path("completed.png"),
        scale: int = 2,
        device: str = "cpu",
    ) -> Result:
        """Fill in the part of a picture that a mask leaves open: the picture with its hole, then fillings of it.

        Args:
            model: A run folder or a model that ships with textvae, with a flow prior and spatial latents.
            image: A picture file; it is scaled to the model's size.
            mask: A picture file, scaled alike: what is white is filled in, what is black is kept.
            prompt: What the picture shows, in the model's words; "none" says nothing.
            num_images: Fillings.
            seed: Of the first; the others count on.
            guidance: How much is made of the prompt; default: the model's.
            out: The PNG to write.
            scale: Enlargement of each pixel.
            device: auto, cpu, cuda or cuda:N.
        """
        from textvae.pictures import grid, read_picture, save_png, to_pil
        from textvae.play import complete

        run, generator = _opened(model, device)
        shape = generator.model.image_shape
        given, hole = read_picture(image, shape), read_picture(mask, (1, *shape[1:]))[0] > 127
        pictures = complete(generator, given, hole, prompt, num_images, seed, guidance)
        shown = to_pil(given.masked_fill(hole, 127)[None])
        facts = {"prompt": prompt, "seed": str(seed), "model": run.name}
        save_png(grid([[*shown, *pictures]], None, scale), out, facts)
        return {"out": str(out), "prompt": prompt, "num_images": num_images, "filled": float(hole.float().mean())}

    result = _parsed("complete", options, arguments)
    return result, f"{result['out']}: {result['num_images']} fillings of {result['filled']:.0%} of the picture"


def _opened(model: str, device: str) -> tuple[Any, Any]:
    from textvae.device import choose_execution
    from textvae.generator import TextToImage
    from textvae.runs import open_run

    run = open_run(model)
    return run, TextToImage.load(run, choose_execution(device).device)


def caption(arguments: list[str]) -> tuple[Result, str]:
    """Rank captions for an image by how likely the model finds it."""

    def options(
        model: Model,
        image: Annotated[Path, tyro.conf.Positional],
        choices: Path,
        samples: int = 64,
        seed: int = 0,
        device: str = "cpu",
    ) -> Result:
        """Rank captions for an image by the model's own bound on log p(image|caption).

        Args:
            model: A run folder or a model that ships with textvae.
            image: A picture file; it is scaled to the model's size, grey where the model is.
            choices: A text file, a caption a line.
            samples: Draws of the latent for each caption; more make the order steadier.
            seed: Of the draws, the same for all captions.
            device: auto, cpu, cuda or cuda:N.
        """
        if samples < 1:
            raise UserError(f"{samples} draws bound nothing", "use 1 or more")
        from textvae.device import choose_execution
        from textvae.evaluation.captioning import rank_captions
        from textvae.generator import TextToImage
        from textvae.pictures import read_picture

        generator = TextToImage.load(model, choose_execution(device).device)
        captions = _lines(choices)
        pixels = read_picture(image, generator.model.image_shape)
        ranked = rank_captions(generator, pixels, captions, samples, seed)
        return {"image": str(image), "captions": [dataclasses.asdict(caption) for caption in ranked]}

    result = _parsed("caption", options, arguments)
    rows = [f"{row['probability']:>7.1%}  {row['nats']:>12.1f} nats  {row['caption']}" for row in result["captions"]]
    return result, "\n".join(rows)


def _lines(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} can't be read: {error}", "give a text file with a caption a line") from None
    if not any(lines):
        raise UserError(f"{file} holds no captions", "write a caption a line")
    return [line for line in lines if line]


def evaluate(arguments: list[str]) -> tuple[Result, str]:
    """Measure a model on real test data: prints a table, writes metrics.json."""

    def options(
        model: Model,
        num_samples: int | None = None,
        importance_samples: int = 64,
        seed: int = 0,
        out: Path | None = None,
        clip: str = "",
        device: str = "cpu",
    ) -> Any:
        """Measure a model on real test data: prints a table, writes metrics.json.

        Args:
            model: A run folder or a model that ships with textvae.
            num_samples: Test images to reconstruct, and pictures to draw; default: all, at most 10,000.
            importance_samples: Draws of z an image for the importance-weighted bound.
            seed: Of the first drawn picture, and of the posterior draws.
            out: Where to write the metrics; default: metrics.json in the run folder; a shipped model is only shown.
            clip: The CLIP that scores photographs: of the hub, or a folder; default: $TEXTVAE_DATA/clip.
            device: auto, cpu, cuda or cuda:N.
        """
        from textvae.card import write_card
        from textvae.device import choose_execution
        from textvae.evaluation.evaluate import evaluate_run
        from textvae.runs import METRICS, is_shipped, open_run

        run = open_run(model)
        found = evaluate_run(run, choose_execution(device).device, num_samples, importance_samples, seed, clip=clip)
        if out or not is_shipped(run):
            found.write(out or run.path / METRICS)
            if out is None:
                write_card(run)
        return found

    found = _parsed("evaluate", options, arguments)
    from textvae.evaluation.metrics import table

    return found.to_dict(), _rendered(table(found))


def _rendered(renderable: Any) -> str:
    from rich.console import Console

    console = Console(width=120)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get().rstrip()


def ship(arguments: list[str]) -> tuple[Result, str]:
    """Put a finished run into the package: half precision, measured anew, with a model card."""

    def options(
        run: Annotated[str, tyro.conf.Positional],
        name: Annotated[str, tyro.conf.Positional],
        num_samples: int = 1000,
        repository: Path = Path(),
        device: str = "cpu",
    ) -> Result:
        """Put a finished run into a clone of textvae, as a model that ships: `textvae generate NAME ...`.

        Args:
            run: A run folder.
            name: What the model shall be called.
            num_samples: Test images, and pictures, by which the weights that ship are measured.
            repository: Root of the clone.
            device: auto, cpu, cuda or cuda:N.
        """
        from textvae.card import ship, write_card
        from textvae.device import choose_execution
        from textvae.evaluation.evaluate import evaluate_run
        from textvae.runs import METRICS, MODEL

        weights = repository / "src" / "textvae" / "weights"
        if not weights.is_dir():
            raise UserError(f"{repository} is no clone of textvae: it has no {weights}", "name its root: --repository")
        shipped = ship(run, weights / name)
        found = evaluate_run(shipped, choose_execution(device).device, num_samples, importance_samples=64, seed=0)
        found.write(shipped.path / METRICS)
        write_card(shipped)
        return {"name": name, "folder": str(shipped.path), "bytes": (shipped.path / MODEL).stat().st_size}

    result: Result = _parsed("ship", options, arguments)
    return result, f"{result['folder']}: {result['bytes'] / 1e6:.1f} MB"


def reproduce(arguments: list[str]) -> tuple[Result, str]:
    """Train and measure a paper's tables: published | measured, into RESULTS.md."""

    def options(
        paper: Annotated[Literal["a", "b", "c", "d", "flow"], tyro.conf.Positional],
        only: tuple[str, ...] = (),
        runs: Path = Path("runs"),
        num_samples: int = 10_000,
        repository: Path | None = None,
    ) -> Result:
        """Train and measure the rows of a paper's tables, then write RESULTS.md from what was measured.

        Args:
            paper: a: MNIST and Fashion-MNIST from one-hot labels; b: Fashion-MNIST, dense against convolutional; both
                also photographs from sentences; c: photographs, trained on embeddings of images; d: digits from
                captions.
            only: Rows by name; default: all.
            runs: Folder of the run folders; what is trained or measured there already is not done again.
            num_samples: Test images, and samples, of each measurement.
            repository: Root of a clone, to renew what it ships; else the results go to RUNS/results.
        """
        from textvae.reproduce import Places, reproduce_paper

        places = Places.of_repository(repository) if repository else Places.under(runs / "results")
        return reproduce_paper(paper, runs, places, num_samples, only)

    result: Result = _parsed("reproduce", options, arguments)
    return result, result["table"]


def sweep(arguments: list[str]) -> tuple[Result, str]:
    """Train a recipe for each value of one setting and compare on held-out images."""

    def options(
        recipe: Annotated[str, tyro.conf.Positional],
        setting: Annotated[str, tyro.conf.Positional],
        values: Annotated[tuple[str, ...], tyro.conf.Positional],
        epochs: int | None = None,
        validation_images: int = 10_000,
        out: Path = Path("runs/sweep"),
    ) -> Result:
        """Train a recipe for each value of one setting and compare the loss on held-out training images.

        Args:
            recipe: What to train.
            setting: As the options of train call it, such as trainer.weight-decay.
            values: To try.
            epochs: Passes for each; default: the recipe's.
            validation_images: Training images held out to compare on; the test set stays untouched.
            out: Folder of the run folders.
        """
        from textvae.sweep import sweep_setting

        return sweep_setting(recipe, setting, values, epochs, validation_images, out)

    result = _parsed("sweep", options, arguments)
    rows = [f"{row['value']:>10}  validation loss {row['loss']:.3f}" for row in result["rows"]]
    return result, "\n".join([result["setting"], *rows, f"best: {result['best']}"])


def data(arguments: list[str]) -> tuple[Result, str]:
    """Fetch, prepare or describe a data set: data fetch|prepare|describe NAME."""
    from textvae.data import SOURCES, source
    from textvae.data.photos import PHOTOS

    names, photos = ", ".join(SOURCES), ", ".join(PHOTOS)
    usage = "textvae data fetch|describe NAME, or textvae data prepare SOURCE"
    action = arguments[0] if arguments else ""
    if action in ("-h", "--help"):
        text = f"usage: {usage}\n\nnames: {names}, or that of a prepared set\nsources: {photos}, or a folder"
        return {"names": list(SOURCES), "sources": list(PHOTOS)}, text
    if action not in ("fetch", "describe", "prepare"):
        raise UserError("textvae data needs to know what to do", f"{usage} ({names}; {photos})")

    def fetch(name: Annotated[str, tyro.conf.Positional]) -> Result:
        """Fetch a data set, every file checked by its SHA-256.

        Args:
            name: Which.
        """
        return {"name": name, "folder": str(source(name).fetch())}

    def describe(name: Annotated[str, tyro.conf.Positional], out: Path | None = None) -> Result:
        """Say what a data set holds and where it came from, and draw a contact sheet.

        Args:
            name: Which.
            out: The contact sheet to write; default: NAME.png.
        """
        from textvae.data.describe import describe

        return describe(name, out or Path(f"{Path(name).name}.png"))

    if action == "prepare":
        return _prepare(arguments[1:])
    result: Result = _parsed(f"data {action}", fetch if action == "fetch" else describe, arguments[1:])
    return result, "\n".join(f"{key}: {value}" for key, value in result.items())


def _prepare(arguments: list[str]) -> tuple[Result, str]:
    def prepare(
        source: Annotated[str, tyro.conf.Positional],
        size: int = 64,
        text: Literal["words", "sentence", "sentence-tokens", "clip", "clip-tokens", "pair"] = "sentence",
        image_encoder: Literal["efficientnet", "pair", "clip"] | None = None,
        fraction: float = 1.0,
        theme: str = "",
        seed: int = 0,
        out: Path | None = None,
        clip: str = "openai/clip-vit-base-patch32",
        pair: Path | None = None,
        workers: int = 0,
    ) -> Result:
        """Make photographs ready for training: square pictures, captions, frozen embeddings. Resumes after a kill.

        Args:
            source: coco-mini, coco, flowers102, products, or a folder of captioned images.
            size: Pixels a side.
            text: What is kept of the captions besides their words; "words": nothing, for models that learn to read.
            image_encoder: What is kept of the images besides their pixels; default: nothing.
            fraction: Share of the images, drawn at random.
            theme: Only images with one of these words in a caption, such as cow,sheep,mountain.
            seed: Of the fraction's draw.
            out: Folder to write; default: SOURCE-SIZE-TEXT, where textvae keeps its data.
            clip: The CLIP model: of the hub, or a folder.
            pair: The run folder of a trained pair.
            workers: Processes; 0 takes the cores this process may use.
        """
        from textvae.data.photos import Subset
        from textvae.prepare import prepare

        words = tuple(word.strip() for word in theme.split(",") if word.strip())
        return prepare(source, size, text, image_encoder, Subset(fraction, words, seed), out, clip, pair, workers)

    result: Result = _parsed("data prepare", prepare, arguments)
    lines = [
        f"{split}: {facts['images'][0]:,} images, {facts['captions']:,} captions"
        for split, facts in result["splits"].items()
    ]
    for done in ("skipped", "handled"):
        total = sum(result[done].values())
        why = ", ".join(f"{count} {reason}" for reason, count in result[done].items())
        lines.append(f"{done}: {total:,}" + (f" ({why})" if why else ""))
    return result, "\n".join([f"{result['name']}: in {result['folder']}", *lines])


def doctor(arguments: list[str]) -> tuple[Result, str]:
    """Show device, precision and why, packages, and the data found."""

    def options() -> Result:
        """Show device, precision and why, packages, and the data and models found."""
        from textvae.doctor import examine

        return examine()

    result = _parsed("doctor", options, arguments)
    return result, "\n".join(f"{key:<34}{value}" for key, value in result.items())


VERBS: dict[str, Callable[[list[str]], tuple[Result, str]]] = {
    "recipes": recipes,
    "train": train,
    "generate": generate,
    "chat": chat,
    "reconstruct": reconstruct,
    "caption": caption,
    "interpolate": interpolate,
    "edit": edit,
    "complete": complete,
    "evaluate": evaluate,
    "ship": ship,
    "reproduce": reproduce,
    "sweep": sweep,
    "data": data,
    "doctor": doctor,
}

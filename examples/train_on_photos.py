"""Train on a folder of your own photographs and captions.

The folder holds images and a metadata.jsonl with a line {"file_name": "a.jpg", "text": "a red boat"} for each, or
folders train and test of this form; COCO's layout and WebDataset shards are read, too. A few thousand photographs take
about 30 minutes on one core; use --epochs 1 for a first try. Prints what was skipped; writes a prepared set to
the cache folder of textvae, the run folder, and drawn-0.png, drawn-1.png.

    python examples/train_on_photos.py --folder photos --prompt "a red boat on a lake"
"""

from pathlib import Path

import tyro

import textvae


def main(folder: Path, prompt: str, epochs: int = 20, width: int = 128, out: Path = Path("runs/photos")) -> None:
    """Trains the autoencoder, then its flow prior with ``width`` channels, for ``epochs`` epochs each."""
    # Crops and checks pictures, at 64 x 64 pixels; "words": the model learns its own vocabulary from the captions.
    prepared = textvae.prepare(str(folder), 64, text="words")
    print(f"{prepared['name']}: {prepared['splits']['train']['images'][0]} images; skipped: {prepared['skipped']}")

    run = textvae.train(
        "latent-flow-photos",  # an autoencoder with spatial latents, then a flow prior that reads the captions
        data=prepared["name"],
        out=out,
        trainer={"epochs": epochs},
        flow={"trainer": {"epochs": epochs}, "model": {"prior": {"width": width}}},
    )

    model = textvae.TextToImage.load(run)
    print(model)
    for number, picture in enumerate(model(prompt, num_images=2, guidance_scale=3.0)):
        picture.save(out / f"drawn-{number}.png")


if __name__ == "__main__":
    tyro.cli(main)

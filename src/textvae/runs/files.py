"""The names of the files in a run folder; ``textvae.runs.run`` says what each holds."""

CONFIG = "config.json"
"""The file that identifies a folder as a run."""
MODEL = "model.safetensors"
HISTORY, SAMPLES, METRICS, CARD = "history.jsonl", "samples.png", "metrics.json", "README.md"

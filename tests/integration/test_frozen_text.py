"""Frozen text encoders: MiniLM with its real weights, CLIP's real code on a small model with the true vocabulary."""

import pytest
import torch

from textvae.text import minilm
from textvae.text.base import NONE
from textvae.text.clip import MEAN, STD, ClipImages, ClipText, sentences
from textvae.text.sentence import SentenceText
from textvae.utils.errors import UserError


@pytest.fixture(scope="module")
def _minilm() -> None:
    try:
        minilm.load()
    except UserError as error:
        pytest.skip(f"{error.cause}: {error.cure}")


@pytest.mark.usefixtures("_minilm")
class TestSentence:
    @pytest.mark.slow
    def test_agrees_with_the_reference_implementation(self) -> None:
        transformers = pytest.importorskip("transformers")
        folder = minilm.weights_folder()
        reference = transformers.BertModel.from_pretrained(folder, use_safetensors=True).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        texts = ["A dog runs on the grass.", "Ein Hund", "a red flower with a very long description " * 5]
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            hidden = reference(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(2)
        expected = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
        assert torch.allclose(SentenceText().encode(texts), expected, atol=2e-6)
        tokens = SentenceText(8).encode(texts)
        assert torch.allclose(tokens[0, :8], hidden[0, :8], atol=2e-5)

    @pytest.mark.slow
    def test_sentences_of_one_meaning_are_near(self) -> None:
        dog, hound, bus = SentenceText().encode(["a dog on the grass", "a puppy in a meadow", "a red bus in London"])
        assert float(dog @ hound) > 0.5 > float(dog @ bus) + 0.2

    def test_nothing_said_is_zero_and_padding_too(self) -> None:
        rows = SentenceText().encode(["a dog", NONE, "a dog"])
        assert rows.shape == (3, 384)
        assert rows.norm(dim=1).tolist() == pytest.approx([1, 0, 1], abs=1e-5)
        assert torch.equal(rows[0], rows[2])
        tokens = SentenceText(6).encode(["a dog", NONE])
        assert tokens.shape == (2, 6, 384)
        # [CLS] a dog [SEP]
        assert tokens.abs().amax(2).gt(0).tolist() == [[True] * 4 + [False] * 2, [False] * 6]

    def test_company_changes_no_row(self) -> None:
        alone = SentenceText().encode(["a dog"])
        assert torch.allclose(
            SentenceText().encode(["a much longer caption about a dog", "a dog"])[1:], alone, atol=1e-6
        )

    @pytest.mark.slow
    def test_long_and_unreadable_captions_are_told(self, capsys) -> None:
        novel = "a dog runs on the grass and " * 400
        rows = SentenceText().encode(["a dog", novel])
        assert rows.isfinite().all()
        assert "to 256 tokens" in capsys.readouterr().err
        assert SentenceText().remarks(["a dog", novel[:90], "\U00012000\U00012001"]) == [
            "", "", "without any token known to the encoder"
        ]  # fmt: skip

    def test_other_weights_are_refused(self, monkeypatch) -> None:
        monkeypatch.setattr(minilm, "SHA256", "0" * 64)
        minilm.load.cache_clear()
        with pytest.raises(UserError, match="checksum"):
            SentenceText().encode(["a dog"])
        minilm.load.cache_clear()


def test_a_missing_package_names_its_extra(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError) as error:
        minilm.weights_folder()
    assert "textvae[sentence]" in error.value.cure


def test_sentences_are_split_where_they_end() -> None:
    assert sentences("A dog. It runs! Does it?  Yes") == ["A dog.", "It runs!", "Does it?", "Yes"]
    assert sentences('He said "stop." Then 3.5 cars came') == ['He said "stop.', "Then 3.5 cars came"]
    assert sentences("狗。猫。") == ["狗。", "猫。"]
    assert sentences("...") == ["..."]
    assert sentences("no end") == ["no end"]


@pytest.mark.slow
class TestClip:
    def test_reads_with_the_true_vocabulary(self, clip) -> None:
        transformers = pytest.importorskip("transformers")
        tokenizer = transformers.AutoTokenizer.from_pretrained(clip)
        # The ids that openai/CLIP's own tokenizer gives.
        assert tokenizer("a photo of a cat")["input_ids"] == [49406, 320, 1125, 539, 320, 2368, 49407]

    def test_pools_and_projects_as_the_reference(self, clip) -> None:
        transformers = pytest.importorskip("transformers")
        model = transformers.CLIPModel.from_pretrained(clip).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(clip)
        texts = ["a photo of a cat", "two dogs on a very green meadow"]
        batch = tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt")
        images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
        pixels = (images / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        with torch.no_grad():
            whole = model(pixel_values=pixels, **batch)
        assert torch.allclose(ClipText(clip).encode(texts), whole.text_embeds, atol=1e-5)
        assert torch.allclose(ClipImages(clip).embed(images), whole.image_embeds, atol=1e-5)
        assert ClipText(clip).shape == (12,)
        assert ClipImages(clip).side == 32

    def test_long_texts_are_split_by_sentence_and_averaged(self, clip) -> None:
        text = ClipText(clip)
        both = text.encode(["A cat sleeps. A dog runs."])[0]
        assert torch.allclose(both, text.encode(["A cat sleeps.", "A dog runs."]).mean(0), atol=1e-6)

    def test_the_limit_is_respected_and_told(self, clip, capsys) -> None:
        sentence = "a cat " * 60
        rows = ClipText(clip).encode([sentence, f"{sentence}and a dog", NONE])
        assert "from 122 to 77 tokens" in capsys.readouterr().err
        # What lies beyond the limit makes no difference.
        assert torch.allclose(rows[0], rows[1], atol=1e-6)
        assert not rows[2].any()
        assert ClipText(clip).remarks(["A cat. " * 60]) == [""]

    def test_tokens_too(self, clip) -> None:
        rows = ClipText(clip, tokens=True).encode(["a photo of a cat", NONE])
        assert rows.shape == (2, 77, 16)
        assert rows.abs().amax(2).gt(0).sum(1).tolist() == [7, 0]

    def test_images_of_other_sizes_are_scaled(self, clip) -> None:
        flat = torch.full((1, 3, 50, 50), 90, dtype=torch.uint8)
        assert torch.allclose(ClipImages(clip).embed(flat), ClipImages(clip).embed(flat[..., :32, :32]), atol=1e-5)

    def test_identities_tell_weights_apart(self, clip) -> None:
        assert ClipText(clip).identity.removeprefix("clip ") == ClipImages(clip).identity.removeprefix("clip ")
        assert ClipText(clip, tokens=True).identity != ClipText(clip).identity

    def test_a_folder_without_a_model_is_a_users_mistake(self, tmp_path) -> None:
        pytest.importorskip("transformers")
        with pytest.raises(UserError, match="CLIP from"):
            ClipText(str(tmp_path)).encode(["a cat"])

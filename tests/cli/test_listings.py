"""The verbs that list what is here: recipes, data list, doctor."""

import json

from textvae.recipes import RECIPES
from textvae.utils.citations import PAPERS


def test_recipes_are_listed_on_one_screen_under_their_papers(textvae):
    code, out, err = textvae("recipes")
    assert (code, err) == (0, "")
    assert sorted(word for word in out.split() if word in RECIPES) == sorted(RECIPES)
    assert max(map(len, out.splitlines())) <= 80
    assert len(out.splitlines()) <= 40
    said = " ".join(out.split())
    assert all(f"paper {letter}: " in said and paper.title in said for letter, paper in PAPERS.items())
    found = json.loads(textvae("recipes", "--json")[1])
    assert list(found) == list(RECIPES)
    assert found["label-conv"]["published"]["reconstruction.mse_sum"] == 11.1087
    assert found["label-dense"]["source"] == "paper b, section 3.2"


def test_one_recipe_is_shown_with_its_numbers(textvae):
    code, out, _ = textvae("recipes", "label-conv")
    assert code == 0
    assert {"fashion-mnist", "11.109", "textvae train label-conv"} <= {part.strip() for part in _parts(out)}
    found = json.loads(textvae("recipes", "label-conv", "--json")[1])["label-conv"]
    assert found["description"]
    assert found["published"]["reconstruction.mse_sum"] == 11.1087
    assert found["epochs"] == {"model": 25}
    assert "25" in _parts(out)
    assert "14 (model) + 36 (flow) + 6 (guidance)" in _parts(textvae("recipes", "latent-flow-flowers")[1])


def _parts(text: str) -> set[str]:
    return {part for line in text.splitlines() for part in line.split("  ")}


def test_doctor_shows_what_is_here(textvae, tiny_cache):
    code, out, _ = textvae("doctor")
    assert code == 0
    found = json.loads(textvae("doctor", "--json")[1])
    assert {"python", "processor", "device", "precision", "threads", "torch", "models"} <= set(found)
    assert found["fashion-mnist"] == str(tiny_cache / "data" / "fashion-mnist")
    assert "textvae data fetch mnist" in found["mnist"]
    assert all(value in out for value in found.values())


def test_data_list_shows_where_the_sets_are(textvae, tiny_cache):
    code, out, _ = textvae("data", "list")
    assert code == 0
    found = json.loads(textvae("data", "list", "--json")[1])
    assert set(found) == {"fetch", "photographs", "joined", "prepared"}
    assert found["fetch"]["fashion-mnist"] == str(tiny_cache / "data" / "fashion-mnist")
    assert found["fetch"]["mnist"] is None
    assert str(tiny_cache) in out

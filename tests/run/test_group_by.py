"""What Ray groups by is found in one process too: the same copies, the same pairs."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from distill.measure.set_join import near_clusters
from distill.measure.words import Words
from distill.run.on_ray import join, near


@pytest.mark.parametrize("similarity", [0.2, 0.5, 0.8, 0.935, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_any_texts_fall_as_in_the_index(similarity, seed, project):
    """Signed, met in their buckets and chosen in this process: what the index says, always."""
    rng = random.Random(seed)
    texts = [*project.planted(rng, rng.randint(2, 300)), "", "!?", "a", "\u00e9 \u4e2d\u6587"]
    rng.shuffle(texts)
    signed = near.signed(similarity, pa.table({"start": [0], "texts": [texts]}))
    parts = rng.randint(1, 5)
    placed = near.in_buckets(parts, signed)
    members, alike = {}, []
    for part in range(parts):
        if len(place := placed.filter(pc.equal(placed["part"], part))):
            near.read_found(near.pairs(similarity, parts, place), members, alike)
    assert len(alike) == len({frozenset(pair[:2]) for pair in alike})
    dropped = near.choose(members, alike)
    assert [dropped.get(at) for at in range(len(texts))] == project.alone(texts, similarity)


@pytest.mark.parametrize("similarity", [0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_any_pairs_are_those_of_the_join(similarity, seed, project):
    """Under their rarest elements the same clusters meet, whatever the texts and places are."""
    rng = random.Random(seed)
    texts = [*project.planted(rng, rng.randint(2, 300)), "", "!?", "a", "\u00e9 \u4e2d\u6587"]
    rng.shuffle(texts)
    parts = rng.randint(1, 5)

    def pairs(texts, similarity):
        sets = join.with_elements(pa.table({"start": [0], "texts": [texts]}))
        often = np.frombuffer(join.counted(sets)["often"][0].as_py(), "<i8")
        placed = join.under_prefixes(similarity, parts, often, sets)
        found = [
            (row["one"], row["other"])
            for part in range(parts)
            if len(place := placed.filter(pc.equal(placed["part"], part)))
            for row in join.alike(similarity, parts, place).to_pylist()
        ]
        assert len(found) == len(set(map(frozenset, found)))
        return found

    words = Words(texts)
    assert near_clusters(words, texts, similarity, pairs) == near_clusters(words, texts, similarity)

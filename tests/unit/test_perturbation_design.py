import numpy as np
import pandas as pd
import pytest
from perturbation_cells import experiment

from layerscope.errors import ConfigError, DataError
from layerscope.tasks.perturbation.design import make_design
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.strict_reference import buckets_of
from layerscope.tasks.screens.design import halves, read_design, write_design

SETTINGS = StrictSettings(cells_per_perturbation=40, buckets=4, shuffles=5)


@pytest.fixture(scope="module")
def cells():
    """Sixty cells of each of nine perturbations, two guides and two lanes; 120 control cells."""
    return experiment().obs


@pytest.fixture(scope="module")
def design(cells):
    return make_design(cells, SETTINGS, seed=1)


def table(design, row=0):
    inside = design.groups[row] >= 0
    return pd.DataFrame(
        {"item": design.groups[row][inside] // 4, "bucket": design.groups[row][inside] % 4},
        index=np.array(design.cell_ids)[inside],
    )


def test_every_perturbation_has_the_same_number_of_cells_in_every_bucket(design):
    sizes = table(design).groupby(["item", "bucket"]).size()
    assert (sizes.loc[1:] == 10).all()
    assert (sizes.loc[0] == 30).all()


def test_buckets_hold_every_guide_and_lane_by_its_share(cells, design):
    dealt = table(design).join(cells[["guide", "replicate"]])
    sizes = dealt[dealt["item"] > 0].groupby(["item", "bucket", "guide", "replicate"]).size()
    assert sizes.between(2, 3).all()


def test_cells_are_those_of_their_perturbation(cells, design):
    dealt = table(design).join(cells["perturbation"])
    names = ["non-targeting", *design.names]
    assert (dealt["perturbation"] == [names[item] for item in dealt["item"]]).all()


def test_shuffled_labels_keep_what_each_lane_has_and_nothing_else(cells, design):
    lanes = cells["replicate"]
    true = table(design).join(lanes).groupby(["item", "replicate"]).size()
    for row in range(1, 6):
        shuffled = table(design, row)
        counts = shuffled.join(lanes).groupby(["item", "replicate"]).size()
        assert (counts == true).all()
        labels = shuffled.join(cells["perturbation"])
        share = (
            labels["perturbation"] == [["non-targeting", *design.names][i] for i in labels["item"]]
        ).mean()
        assert share < 0.25  # by chance: a sixth are controls, and each perturbation a tenth


def test_a_design_depends_on_the_cells_and_not_on_their_order(cells, design):
    order = np.random.default_rng(0).permutation(len(cells))
    again = make_design(cells.iloc[order], SETTINGS, seed=1)
    assert (again.groups == design.groups[:, order]).all()
    assert (make_design(cells, SETTINGS, seed=2).groups != design.groups).any()


def test_small_perturbations_are_dropped(cells):
    fewer = cells[(cells["perturbation"] != "P03") | (np.arange(len(cells)) % 2 == 0)]
    assert "P03" not in make_design(fewer, SETTINGS, seed=1).names
    assert len(make_design(cells, StrictSettings(max_perturbations=5, buckets=4), seed=1).names) == 5


def test_halves_are_all_different_and_none_is_anothers_swap():
    first = halves(8, 100, seed=0)
    assert first.shape == (35, 8)
    assert (first.sum(axis=1) == 4).all()
    both = {tuple(row) for row in np.concatenate([first, ~first])}
    assert len(both) == 70
    assert len(halves(8, 10, seed=0)) == 10


def test_a_written_design_is_read_back_and_always_the_same_bytes(tmp_path, design):
    for name in ("one.npz", "two.npz"):
        write_design(tmp_path / name, design)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    again = read_design(tmp_path / "one.npz")
    assert (again.n_buckets, again.cells_per_perturbation, again.n_groups) == (4, 40, 40)
    assert (again.names, again.cell_ids) == (design.names, design.cell_ids)
    np.testing.assert_array_equal(again.groups, design.groups)
    (tmp_path / "none.npz").write_bytes(b"nothing")
    with pytest.raises(DataError, match="not a design"):
        read_design(tmp_path / "none.npz")


def test_a_bucket_without_a_cell_is_refused():
    with pytest.raises(ConfigError, match="cells_per_perturbation"):
        StrictSettings.read({"buckets": 16, "cells_per_perturbation": 12})


def test_fewer_buckets_are_drawn_anew_in_every_split_and_lie_within_its_half():
    splits = halves(8, 35, seed=0)
    drawn = [buckets_of(first, 0, 1)[0] for first in splits]
    assert len(set(drawn)) == 8
    for first in splits:
        for half, members in enumerate((first, ~first)):
            few, more = (set(buckets_of(first, half, size)) for size in (1, 2))
            assert few < more < set(np.flatnonzero(members))
            np.testing.assert_array_equal(buckets_of(first, half, 4), np.flatnonzero(members))

"""A control is a whole label; what has a target in it is a perturbation."""

from __future__ import annotations

import pytest

from layerscope.cells.controls import control_labels, is_control

CONTROLS = """
ctrl ctrl+ctrl Control_2 control NT NTC NTC-0001 sgNTC_3 NTg7 NT_g1 NT_g1|NT_g2 NT_g1;NT_g2 siCtrl sgControl
non-targeting Non~Targeting non_targeting_0001 non-targeting_00012|non-targeting_00002 NonTargeting
negative~control neg_ctrl_1 negCtrl scrambled_3 scramble safe-targeting vehicle Vehicle vehicle~(DMSO) DMSO_TF
NO-TARGET no_target intergenic_12 siNC medium
DMSO~0.1% PBS mock untreated un-treated unstimulated no~treatment WT wild~type
"""
PERTURBATIONS = """
ctrl+AAA1 AAA1+ctrl A+ctrl NTC|A_g2 NTC;A_g2 DMSO+JQ1 JQ1~(DMSO) AAA1 positive~control negative NTRK1
NT5E CTLA4 CTRL1P WT1 PBSX MOCKA SCRIB stim control_KO1x
"""


@pytest.mark.parametrize("label", CONTROLS.split())
def test_controls_are_told(label: str) -> None:
    assert is_control(label.replace("~", " "))


@pytest.mark.parametrize("label", PERTURBATIONS.split())
def test_targets_and_combinations_with_one_are_no_controls(label: str) -> None:
    assert not is_control(label.replace("~", " "))


def test_every_control_is_listed_in_order() -> None:
    assert control_labels(["A+ctrl", "NT_g1|NT_g2", "B", "ctrl"]) == ["NT_g1|NT_g2", "ctrl"]

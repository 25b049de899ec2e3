"""The list of seeded faults; `make mutants` runs them."""

from __future__ import annotations

from tests.mutants import ROOT, faults_of_list, read_mutants


def test_every_fault_can_be_put_in() -> None:
    """Who changes such a line changes it in tests/mutants.txt, too."""
    assert faults_of_list(read_mutants()) == []


def test_there_are_enough_of_them_and_their_tests_exist() -> None:
    mutants = read_mutants()
    assert len(mutants) >= 60
    for mutant in mutants:
        files = [word for word in mutant.tests if word.startswith("tests/")]
        assert files and all((ROOT / file).exists() for file in files), mutant.name

"""The list of seeded faults; `make mutants` runs them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from _pytest.mark.expression import Expression

from tests.mutants import ROOT, Mutant, faults_of_list, read_mutants


def test_every_fault_can_be_put_in() -> None:
    """Who changes such a line changes it in tests/mutants.txt, too."""
    assert faults_of_list(read_mutants()) == []


def test_there_are_enough_of_them_and_their_tests_exist() -> None:
    mutants = read_mutants()
    assert len(mutants) >= 60
    for mutant in mutants:
        assert mutant.files and all((ROOT / file).exists() for file in mutant.files), mutant.name


def test_the_words_behind_k_choose_tests_that_exist() -> None:
    """pytest compares them with a test's file, name and parameters; `make mutants` would find it out after an hour."""
    empty = [mutant.name for mutant in read_mutants() if mutant.chosen is not None and not chooses_any(mutant)]
    assert not empty, f"their -k chooses no test: {empty}"


def chooses_any(mutant: Mutant) -> bool:
    expression = Expression.compile(mutant.chosen or "")

    def chooses(said: str) -> bool:
        return expression.evaluate(lambda word, /, **_: word.lower() in said)

    return any(map(chooses, (said for file in mutant.files for said in said_of_tests(file))))


def said_of_tests(place: str) -> Iterator[str]:
    """Of every test in a file or folder its file, its name, and what its parameters are made of outside functions:
    constants and decorators, without what is imported."""
    where = ROOT / place.partition("::")[0]
    for file in sorted(where.rglob("test_*.py")) if where.is_dir() else [where]:
        body = ast.parse(file.read_text()).body
        constants = " ".join(ast.unparse(each) for each in body if isinstance(each, ast.Assign | ast.AnnAssign))
        for each in body:
            if isinstance(each, ast.FunctionDef) and each.name.startswith("test_"):
                decorators = " ".join(map(ast.unparse, each.decorator_list))
                yield f"{file.name} {each.name} {constants if decorators else ''} {decorators}".lower()

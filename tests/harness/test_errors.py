"""An error for a wrong name says which names there are, as far as a person would read them."""

from __future__ import annotations

from harness.errors import unknown_name


def test_all_of_a_few_names_are_listed_and_the_nearest_one_is_offered() -> None:
    said = str(unknown_name("suite", "genral", ["hallucination", "general"]))
    assert said == "Unknown suite 'genral'. Did you mean 'general'? Known: general, hallucination."


def test_of_thousands_only_the_nearest_few_are_named() -> None:
    ids = [f"random:{number}" for number in range(9000)]
    said = str(unknown_name("sample", "random:77777", ids))
    assert said.startswith("Unknown sample 'random:77777'. Of the 9,000 that are known the nearest are random:")
    assert said.count("random:") == 6
    said = str(unknown_name("sample", "\u00e9", ids))
    assert said.endswith("the first are random:0, random:1, random:10, random:100, random:1000.")

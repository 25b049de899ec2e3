"""Record what the official scorers say about the invented inputs beside this file: ``expected.json`` of each folder.

    python tests/golden/record.py --amber DIR --rlaifv DIR --pope DIR --mmvet DIR --llava DIR --hallusion DIR ...

Each DIR is a checkout of an official repository at the commit that README.md names. Its script runs unchanged; only
what it would reach over the network (a judge's endpoint) or load as a large model (spaCy) is replaced: the judge by
the recorded replies, spaCy's vectors by table.json, spaCy's parse by NLTK's. NLTK's tagger and WordNet are needed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import runpy
import sys
import tempfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import nltk
from nltk.tag.perceptron import PerceptronTagger
from nltk.tokenize import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktSentenceTokenizer

HERE = Path(__file__).parent


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def tokens(text: str) -> list[str]:
    """NLTK's words of untrained Punkt's sentences: the trained model is not needed for texts without abbreviations."""
    words = NLTKWordTokenizer()
    return [word for sentence in PunktSentenceTokenizer().tokenize(text) for word in words.tokenize(sentence)]


def module(name: str, **members: Any) -> ModuleType:
    made = ModuleType(name)
    for key, value in members.items():
        setattr(made, key, value)
    return made


@contextlib.contextmanager
def replaced(arguments: Sequence[str], *modules: ModuleType) -> Iterator[io.StringIO]:
    """An official script's surroundings: its arguments, an empty working directory, stand-ins; yields its output."""
    output, before = io.StringIO(), Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(sys.modules, {made.__name__: made for made in modules}),
        mock.patch.object(sys, "argv", ["script", *arguments]),
        mock.patch.object(nltk, "word_tokenize", tokens),
        mock.patch("time.sleep"),
        contextlib.redirect_stdout(output),
    ):
        os.chdir(folder)
        try:
            yield output
        finally:
            os.chdir(before)


class Replies:
    """A judge that gives each question's recorded replies in order, and the last one again and again."""

    def __init__(self, replies: Mapping[str, Sequence[str]], key: Callable[[str], str]) -> None:
        self.left = {name: deque(texts) for name, texts in replies.items()}
        self.key = key

    def __call__(self, prompt: str) -> str:
        left = self.left[self.key(prompt)]
        return left.popleft() if len(left) > 1 else left[0]


def chat(reply: Callable[[str], str]) -> ModuleType:
    """RLAIF-V's client of a judge, which gives ``reply(prompt)``."""

    class Chat:
        model = "recorded"

        def __init__(self, **settings: Any) -> None: ...

        def chat_completion(self, messages: list[dict[str, str]], **settings: Any) -> dict[str, Any]:
            usage = dict.fromkeys(("total_tokens", "prompt_tokens", "completion_tokens"), 1)
            choice = {"message": {"content": reply(messages[0]["content"])}}
            return {"model": self.model, "usage": usage, "choices": [choice]}

    return module("gpt4_grpc", Chat=Chat)


def replies_by(folder: Path, *keys: str) -> dict[Any, list[str]]:
    replies: defaultdict[Any, list[str]] = defaultdict(list)
    for row in rows_of(folder / "replies.jsonl"):
        replies[tuple(row[key] for key in keys)].append(row["reply"])
    return replies


def amber(checkout: Path) -> dict[str, Any]:
    """inference.py over all rows, with word vectors that find only equal words alike, and with those of table.json."""
    folder = HERE / "amber"
    table = {frozenset(row[:2]): row[2] for row in json.loads((folder / "table.json").read_text())}
    recorded: dict[str, Any] = {}
    for variant, pairs in (("exact", {}), ("table", table)):

        class Word(str):
            def similarity(self, other: str, pairs: Mapping[frozenset[str], float] = pairs) -> float:
                return 1.0 if self == other else float(pairs.get(frozenset((self, other)), 0.0))

        spacy = module("spacy", load=lambda name, word=Word: word)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as answers:
            json.dump(rows_of(folder / "answers.jsonl"), answers)
            answers.flush()
            data = folder / "data"
            files = {
                "--word_association": data / "relation.json",
                "--safe_words": data / "safe_words.txt",
                "--annotation": data / "annotations.json",
                "--metrics": checkout / "data/metrics.txt",
                "--inference_data": answers.name,
            }
            arguments = [str(part) for pair in files.items() for part in pair]
            with replaced([*arguments, "--evaluation_type", "a"], spacy) as output:
                runpy.run_path(str(checkout / "inference.py"), run_name="__main__")
        recorded[variant] = printed_blocks(output.getvalue())
    return recorded


def printed_blocks(text: str) -> dict[str, dict[str, float]]:
    """ "Block:" lines and the "Figure: 1.2" lines under each."""
    blocks: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        if heading := re.fullmatch(r"(\w[\w ]*):", line.strip()):
            blocks[heading[1]] = {}
        elif figure := re.fullmatch(r"(\w+):\s*([\d.]+)", line.strip()):
            blocks[list(blocks)[-1]][figure[1]] = float(figure[2])
    return blocks


def object_halbench(checkout: Path) -> dict[str, Any]:
    """Class CHAIR of eval_gpt_obj_halbench.py with and without a judge (the check for 300 images is in main)."""
    folder = HERE / "object_halbench"
    questions, answers = rows_of(folder / "data/questions.jsonl"), rows_of(folder / "answers.jsonl")
    captions = [
        {"image_id": question["image_id"], "prompt": question["question"], "text": answer["response"]}
        for question, answer in zip(questions, answers, strict=True)
    ]
    texts = {i: row["text"].replace("Assistant:", "").strip() for i, row in enumerate(captions)}
    replies = {texts[i]: given for (i,), given in replies_by(folder, "id").items()}
    judge = Replies(replies, lambda prompt: next(t for t in replies if f"Answer]\n\n{t}\n" in prompt))
    lemmatizer, tagger = nltk.WordNetLemmatizer(), PerceptronTagger()

    def parse(text: str) -> list[SimpleNamespace]:
        tagged = tagger.tag(tokens(text))
        return [SimpleNamespace(text=word, lemma_=lemmatizer.lemmatize(word.lower()), tag_=tag) for word, tag in tagged]

    recorded: dict[str, Any] = {}
    stand_ins = (module("spacy", load=lambda name: parse), chat(judge))
    for mode in ("judge", "text"):
        with replaced([], *stand_ins):
            Path("eval/data").mkdir(parents=True)
            Path("eval/data/synonyms_refine.txt").write_text((folder / "data/synonyms_refine.txt").read_text())
            write_rows(Path("answers.jsonl"), captions)
            names = runpy.run_path(str(checkout / "eval/eval_gpt_obj_halbench.py"))
            chair = names["CHAIR"]({row["image_id"] for row in captions}, str(folder / "data"), "no key")
            chair.get_annotations()
            figures = chair.compute_chair("answers.jsonl", -1, gpt_process=mode == "judge")["overall_metrics"]
        recorded[mode] = {name: value for name, value in figures.items() if not name.startswith("all_gpt")}
    return recorded


def mmhal(checkout: Path) -> dict[str, Any]:
    """cal_informative and cal_mmhalscore of summarize_gpt_mmhal_review.py, and what eval_gpt_mmhal.py ends with."""
    folder = HERE / "mmhal"
    reviews = [row["reply"] for row in rows_of(folder / "replies.jsonl")]
    left = deque(reviews)

    arguments = ["--is_jsonl", "--api-key", "none", "--gpt-model", "recorded", "--evaluation", "./out/review.json"]
    template = ["--response-template", str(folder / "data/response_template.json"), "--response", "./in/a.jsonl"]
    with replaced([*arguments, *template], chat(lambda prompt: left.popleft())):
        Path("in").mkdir()
        write_rows(Path("in/a.jsonl"), ({"text": row["response"]} for row in rows_of(folder / "answers.jsonl")))
        after = runpy.run_path(str(checkout / "eval/eval_gpt_mmhal.py"), run_name="__main__")
        summary = runpy.run_path(str(checkout / "eval/summarize_gpt_mmhal_review.py"))
        informativeness = float(summary["cal_informative"]("out/review.json"))
    scores, hallucination = after["scores"], after["hallucination"]
    return {
        "score": sum(scores) / len(scores),
        "hallucination_rate": sum(hallucination) / len(hallucination),
        "informativeness": informativeness,
        "score_each": [sum(each) / len(each) for each in after["scores_each"]],
    }


def mm_vet(checkout: Path) -> dict[str, Any]:
    """mm-vet_evaluator.py with three runs, printed to ten decimals; sets of capabilities are sorted and joined by +."""
    import pandas as pd

    folder, runs, name = HERE / "mm_vet", 3, "mm-vet_evaluator.py"
    replies = replies_by(folder, "id", "run")
    answers = {row["id"]: row["response"] for row in rows_of(folder / "answers.jsonl")}
    data = json.loads((folder / "data/mm-vet.json").read_text())
    asked = {row["question"]: id_ for id_, row in data.items()}
    at = dict.fromkeys(data, -1)
    left: dict[str, deque[str]] = {}

    def create(messages: list[dict[str, str]], **settings: Any) -> Any:
        prompt = messages[0]["content"]
        id_ = next(id_ for question, id_ in asked.items() if f"\n{question} | " in prompt)
        if not prompt.endswith("(digit): "):  # a fresh run of this question
            at[id_] += 1
            left[id_] = deque(replies[id_, at[id_]])
        texts = left[id_]
        content = texts.popleft() if len(texts) > 1 else texts[0]
        message = SimpleNamespace(message=SimpleNamespace(content=content))
        return SimpleNamespace(model="recorded", choices=[message])

    client = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
    openai = module("openai", OpenAI=lambda **settings: client)
    errors = module("openai._exceptions", RateLimitError=type("RateLimitError", (Exception,), {}))
    arguments = ["--mmvet_path", str(folder / "data"), "--result_file", "answers.json", "--result_path", "."]
    with replaced([*arguments, "--num_run", str(runs), "--decimal_places", "10"], openai, errors):
        Path("answers.json").write_text(json.dumps(answers))
        after = runpy.run_path(str(checkout / name), run_name="__main__")
        scores, sets = (pd.read_csv(after[f"cap_{kind}score_file"], index_col=0).iloc[0] for kind in ("", "int_"))
    recorded = {"total_std" if key == "std" else key: float(scores[key]) for key in scores.index if key != "runs"}
    own = [key for key in sets.index if key not in ("total", "std", "runs")]
    return recorded | {f"set_{'+'.join(sorted(key.split('_')))}": float(sets[key]) for key in own}


def llava_bench(checkout: Path) -> dict[str, Any]:
    """eval_gpt_review_bench.py, then summarize_gpt_review.py over the reviews that it wrote."""
    folder = HERE / "llava_bench"
    left = deque(row["reply"] for row in rows_of(folder / "replies.jsonl"))

    def create(**settings: Any) -> dict[str, Any]:
        return {"choices": [{"message": {"content": left.popleft()}}]}

    openai = module("openai", ChatCompletion=SimpleNamespace(create=create))
    data = folder / "data"
    answers = [
        {"question_id": row["id"], "answer_id": str(row["id"]), "text": row["response"]}
        for row in rows_of(folder / "answers.jsonl")
    ]
    names = ["-q", data / "questions.jsonl", "-c", data / "context.jsonl", "-r", data / "rule.json"]
    arguments = [*map(str, names), "-a", str(data / "answers_gpt4.jsonl"), "answers.jsonl", "-o", "review.jsonl"]
    with replaced(arguments, openai):
        write_rows(Path("answers.jsonl"), answers)
        runpy.run_path(str(checkout / "llava/eval/eval_gpt_review_bench.py"), run_name="__main__")
        with mock.patch.object(sys, "argv", ["script", "-f", "review.jsonl"]):
            summary = io.StringIO()
            with contextlib.redirect_stdout(summary):
                runpy.run_path(str(checkout / "llava/eval/summarize_gpt_review.py"), run_name="__main__")
    lines = [re.fullmatch(r"(\w+) ([\d.]+) ([\d.]+) ([\d.]+)", line) for line in summary.getvalue().splitlines()]
    return {line[1].removeprefix("llava_bench_"): [float(line[i]) for i in (2, 3, 4)] for line in lines if line}


def pope(checkout: Path) -> dict[str, Any]:
    """evaluate.py on each split; its two empty paths are set."""
    folder = HERE / "pope"
    answers = {row["id"]: row["response"] for row in rows_of(folder / "answers.jsonl")}
    recorded: dict[str, Any] = {}
    for split in ("random", "popular", "adversarial"):
        labels = folder / f"data/coco_pope_{split}.json"
        source = (checkout / "evaluate.py").read_text()
        source = source.replace("ans_file = ''", "ans_file = 'answers.jsonl'")
        source = source.replace("label_file = ''", f"label_file = {str(labels)!r}")
        with replaced([]) as output:
            ids = [f"{split}:{row['question_id']}" for row in rows_of(labels)]
            write_rows(Path("answers.jsonl"), ({"answer": answers[id_]} for id_ in ids))
            exec(compile(source, "evaluate.py", "exec"), {})
        figures = re.findall(r"^([\w ]+): ([\d.]+)$", output.getvalue(), re.MULTILINE)
        recorded[split] = {name: float(value) for name, value in figures}
    return recorded


def hallusion_bench(checkout: Path) -> dict[str, Any]:
    """utils.py of HallusionBench on replies read as it reads them, which it does inside its calls of GPT-4."""
    folder = HERE / "hallusion_bench"
    rows = json.loads((folder / "data/HallusionBench.json").read_text())
    replies = {row["id"]: row["reply"].lower() for row in rows_of(folder / "replies.jsonl")}
    for row in rows:
        names_of = ("category", "subcategory", "set_id", "figure_id", "question_id")
        reply = replies["_".join(row[name] for name in names_of)]
        row["read"] = "0" if "incorrect" in reply else "1" if "correct" in reply else "2"
        row["same"] = "1"  # of the analysis of errors, which is not recorded
    with replaced([], module("openai"), module("prettytable", PrettyTable=None)):
        names = runpy.run_path(str(checkout / "utils.py"))
    names["assign_correctness"](rows, "read")
    counted = {
        "a_acc": names["get_eval_all"](rows, "read"),
        "q_acc": names["get_eval_pair_all"](rows, "read"),
        "f_acc": names["get_eval_fig"](rows),
        "easy_q_acc": names["get_eval_pair_easy"](rows),
        "hard_q_acc": names["get_eval_pair_hard"](rows),
    }
    return {name: {key: int(stat[key]) for key in ("correct", "total")} for name, stat in counted.items()}


def chair_coco(checkout: Path) -> dict[str, Any]:
    """Class CHAIR of chair.py, with the synonyms beside the data and WordNet's lemmas for pattern's singulars."""
    folder = HERE / "chair_coco"
    lemmatizer = nltk.stem.WordNetLemmatizer()
    singular = module("pattern.en", singularize=lambda word: lemmatizer.lemmatize(word, "n"))
    names: dict[str, Any] = {"__name__": "chair"}
    with replaced([], module("pattern"), singular):
        exec(compile((checkout / "chair.py").read_text(), "chair.py", "exec"), names)
        names["synonyms_txt"] = (folder / "data/synonyms.txt").read_text()
        for kind in ("captions", "instances"):
            of_val = json.loads((folder / f"data/{kind}_val2014.json").read_text())
            Path(f"{kind}_val2014.json").write_text(json.dumps(of_val))
            Path(f"{kind}_train2014.json").write_text(json.dumps({**of_val, "images": [], "annotations": []}))
        answers = rows_of(folder / "answers.jsonl")
        write_rows(Path("answers.jsonl"), ({"image_id": int(row["id"]), "caption": row["response"]} for row in answers))
        made = names["CHAIR"](".").compute_chair("answers.jsonl", "image_id", "caption")
    hallucinated = {row["image_id"]: [w for w, _ in row["mscoco_hallucinated_words"]] for row in made["sentences"]}
    return {**made["overall_metrics"], "hallucinated": hallucinated}


def mmstar(checkout: Path) -> dict[str, Any]:
    """MMStar_eval on the rows of the TSV with their answers; pandas reads the table, as there."""
    import pandas

    folder = HERE / "mmstar"
    table = pandas.read_csv(folder / "data/MMStar.tsv", sep="\t")
    answers = {row["id"]: row["response"] for row in rows_of(folder / "answers.jsonl")}
    table["prediction"] = [answers[str(index)] for index in table["index"]]
    printed: dict[str, Any] = {}
    smp = {
        "load": lambda _: table,
        "dump": lambda figures, _: printed.update(figures),
        "tqdm": lambda rows: rows,
        "get_logger": lambda _: SimpleNamespace(info=lambda *_: None),
    }
    with replaced([], module("vlmeval"), module("vlmeval.smp", **smp)):
        names = runpy.run_path(str(checkout / "eval/vlmeval/evaluate/mmstar.py"))
        names["MMStar_eval"]("answers.xlsx")
    return printed


RECORDERS = {"amber": amber, "object_halbench": object_halbench, "mmhal": mmhal, "mm_vet": mm_vet}
RECORDERS |= {"llava_bench": llava_bench, "pope": pope, "hallusion_bench": hallusion_bench}
RECORDERS |= {"chair_coco": chair_coco, "mmstar": mmstar}
CHECKOUTS = {"object_halbench": "rlaifv", "mmhal": "rlaifv", "mm_vet": "mmvet", "llava_bench": "llava"}
CHECKOUTS |= {"hallusion_bench": "hallusion", "chair_coco": "chair"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("amber", "rlaifv", "pope", "mmvet", "llava", "hallusion", "chair", "mmstar"):
        parser.add_argument(f"--{option}", type=Path)
    options = vars(parser.parse_args())
    for benchmark, record in RECORDERS.items():
        checkout = options[CHECKOUTS.get(benchmark, benchmark)]
        if checkout is None:
            continue
        recorded = record(checkout.resolve())
        (HERE / benchmark / "expected.json").write_text(json.dumps(recorded, indent=1) + "\n")
        print(f"{benchmark}: recorded")


if __name__ == "__main__":
    main()

"""Where each benchmark's official files are, by the folder layout that the benchmark reads.

Repositories are pinned to the commits whose scorers were followed. A benchmark of another package names its own files
in a class attribute ``sources``.
"""

from __future__ import annotations

from benchmarks.amber import OFFICIAL_FILES as AMBER_FILES
from benchmarks.amber import QUERIES
from benchmarks.mmhal import OFFICIAL_SHA256 as MMHAL_TEMPLATE
from benchmarks.object_halbench import OFFICIAL_BLOB, OFFICIAL_SYNONYMS
from harness.util.download import Manual, Source

GITHUB = "https://raw.githubusercontent.com"
RLAIFV = f"{GITHUB}/RLHF-V/RLAIF-V/83d917b2e8118ca8e7877a796d72af9bb3e6b356/eval"
AMBER = f"{GITHUB}/junyangwang0410/AMBER/534babf6bbfcce2e735c26289dedfb21cef3c939/data"
POPE = f"{GITHUB}/AoiDragon/POPE/e3e39262c85a6a83f26cf5094022a782cb0df58d/output/coco"
MM_VET = f"{GITHUB}/yuweihao/MM-Vet/7d717c2f54a584b7ed363d66e6481ce1bf648538"
LLAVA = f"{GITHUB}/haotian-liu/LLaVA/c121f0432da27facab705978f83c4ada465e46fd/llava/eval/table"
HUB = "https://huggingface.co/datasets"
NON_COMMERCIAL = "CC BY-NC 4.0"
APACHE = "Apache-2.0"

_POPE_FILES = {
    "random": "b65021b4425a6b2ae77703a39f19868978c2c2320379ea5e36600f0fc1e62a7c",
    "popular": "7bb5ad04f3c58e13a726942a6779224f2f03520611d6733efb88fc597ccf3bb2",
    "adversarial": "9ca9c075445ce7fa090c7d191816584b23ad8ebad537e80229e5926fe07a6f76",
}


def _amber(name: str) -> Source:
    digest = AMBER_FILES[QUERIES if name in QUERIES else (name,)]
    return Source(name, f"{AMBER}/{name}", f"sha256:{digest}", APACHE)


SOURCES: dict[str, tuple[Source | Manual, ...]] = {
    "object_halbench": (
        Source(
            "obj_halbench_300_with_image.jsonl",
            f"{RLAIFV}/data/obj_halbench_300_with_image.jsonl",
            f"git:{OFFICIAL_BLOB}",
            f"data {NON_COMMERCIAL}, images of COCO under Flickr terms",
        ),
        Source(
            "synonyms_refine.txt",
            f"{RLAIFV}/data/synonyms_refine.txt",
            f"sha256:{OFFICIAL_SYNONYMS}",
            f"data {NON_COMMERCIAL}",
        ),
        Source("eval_gpt_obj_halbench.py", f"{RLAIFV}/eval_gpt_obj_halbench.py", "", f"code {APACHE}"),
        Source(
            "annotations_trainval2014.zip",
            "http://images.cocodataset.org/annotations/annotations_trainval2014.zip",
            "",
            "CC BY 4.0",
            unpack=(("*captions_*2014.json", "annotations"), ("*instances_*2014.json", "annotations")),
            gives=tuple(f"annotations/{k}_{s}2014.json" for k in ("captions", "instances") for s in ("train", "val")),
        ),
    ),
    "amber": (
        _amber("annotations.json"),
        _amber("query/query_all.json"),
        _amber("relation.json"),
        _amber("safe_words.txt"),
        Manual(
            "image",
            "the 1,004 images AMBER_1.jpg to AMBER_1004.jpg",
            "https://drive.google.com/file/d/1MaCHgtupcZUjf007anNl4_MV0o4DjXvl",
            "The images are on Google Drive, which gives large files to a browser only.",
        ),
    ),
    "mmhal": (
        Source(
            "mmhal-bench_answer_template.json",
            f"{RLAIFV}/data/mmhal-bench_answer_template.json",
            f"sha256:{MMHAL_TEMPLATE}",
            APACHE,
        ),
        Source("eval_gpt_mmhal.py", f"{RLAIFV}/eval_gpt_mmhal.py", "", f"code {APACHE}"),
        Source(
            "test_data.zip",
            f"{HUB}/Shengcao1006/MMHal-Bench/resolve/main/test_data.zip",
            "",
            f"{APACHE}, images of Open Images",
            unpack=(("*.jpg", "images"), ("*.jpeg", "images"), ("*.png", "images"), ("*.json", ".")),
            gives=("images",),
        ),
    ),
    "mm_vet": (
        Source(
            "mm-vet.zip",
            "https://github.com/yuweihao/MM-Vet/releases/download/v1/mm-vet.zip",
            "",
            f"data {NON_COMMERCIAL}",
            unpack=(("*mm-vet.json", "."), ("*.jpg", "images"), ("*.jpeg", "images"), ("*.png", "images")),
            gives=("mm-vet.json",),
        ),
        Source("mm-vet_evaluator.py", f"{MM_VET}/mm-vet_evaluator.py", "", f"code {APACHE}"),
    ),
    "llava_bench": (
        *(
            Source(name, f"{HUB}/liuhaotian/llava-bench-in-the-wild/resolve/main/{name}", "", APACHE)
            for name in ("questions.jsonl", "context.jsonl", "answers_gpt4.jsonl")
        ),
        Source(
            "rule.json",
            f"{LLAVA}/rule.json",
            "sha256:dd7345a44ce9f7a24e51a30ee030cdab32346f9d08e3359c80545ff1312b1e07",
            APACHE,
        ),
        Manual(
            "images",
            "the 24 images",
            f"{HUB}/liuhaotian/llava-bench-in-the-wild/tree/main/images",
            "The images are a folder of the data set.",
        ),
    ),
    "pope": (
        *(
            Source(f"coco_pope_{split}.json", f"{POPE}/coco_pope_{split}.json", f"sha256:{digest}", "MIT")
            for split, digest in _POPE_FILES.items()
        ),
        Manual(
            "images",
            "COCO val2014 (6 GB)",
            "http://images.cocodataset.org/zips/val2014.zip",
            "500 of these images are asked about; you may have them already.",
        ),
    ),
}

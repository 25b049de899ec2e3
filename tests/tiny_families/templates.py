"""Chat templates with the structure of the families' own: the same tokens around turns, images and answers."""

from __future__ import annotations


def _template(
    *,
    user: tuple[str, str],
    assistant: tuple[str, str],
    ask: str,
    image: str,
    start: str = "",
    system: tuple[str, str] | None = ("", ""),
    default_system: str = "",
) -> str:
    """A template from what stands before and after each turn.

    ``ask`` begins an answer, ``image`` stands for one, ``start`` opens the conversation. ``system=None``: system
    messages are refused, as some families do.
    """
    turns = {"user": user, "assistant": assistant, **({"system": system} if system else {})}
    text = "{{ " + repr(start) + " }}"
    if default_system:
        text += "{% if messages[0]['role'] != 'system' %}{{ " + repr(default_system) + " }}{% endif %}"
    text += "{% for message in messages %}"
    text += "{% if message['role'] not in " + repr(list(turns)) + " %}"
    text += "{{ raise_exception('Unknown role: ' + message['role']) }}{% endif %}"
    for role, (before, _) in turns.items():
        text += "{% if message['role'] == " + repr(role) + " %}{{ " + repr(before) + " }}{% endif %}"
    text += "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ " + repr(image) + " }}"
    text += "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    for role, (_, after) in turns.items():
        text += "{% if message['role'] == " + repr(role) + " %}{{ " + repr(after) + " }}{% endif %}"
    return text + "{% endfor %}{% if add_generation_prompt %}{{ " + repr(ask) + " }}{% endif %}"


def template(image: str) -> str:
    """LLaVA-1.5's conversation with another mark for the image."""
    return _template(user=("USER: ", " "), assistant=("ASSISTANT: ", " "), ask="ASSISTANT:", image=image)


def _chatml(image: str, **options: str) -> str:
    def turn(role: str) -> tuple[str, str]:
        return f"<|im_start|>{role}\n", "<|im_end|>\n"

    ask = options.pop("ask", "<|im_start|>assistant\n")
    return _template(
        user=turn("user"),
        assistant=turn("assistant"),
        system=turn("system"),
        ask=ask,
        image=image,
        start=options.pop("start", ""),
        default_system=options.pop("default_system", ""),
    )


QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
_THINKS = (
    "{{ '<think>\\n\\n</think>\\n\\n' if enable_thinking is defined and enable_thinking is false else '<think>\\n' }}"
)

LLAVA = template("<image>\n")
LLAVA_NEXT = _template(
    user=("[INST] ", " [/INST]"),
    assistant=(" ", "</s>"),
    ask="",
    image="<image>\n",
    system=("<<SYS>>\n", "\n<</SYS>>\n\n"),
)
ONEVISION = _template(
    user=("<|im_start|>user ", "<|im_end|>"),
    assistant=("<|im_start|>assistant\n", "<|im_end|>"),
    system=("<|im_start|>system ", "<|im_end|>"),
    ask="<|im_start|>assistant\n",
    image="<image>\n",
)
QWEN2_VL = _chatml(QWEN_IMAGE, default_system="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
QWEN3_VL = _chatml(QWEN_IMAGE)
QWEN3_5 = QWEN3_VL.removesuffix("{% endif %}") + _THINKS + "{% endif %}"
"""The answer begins in thoughts, which a past turn leaves out; ``enable_thinking=False`` asks with closed ones."""
INTERNVL = _chatml("<IMG_CONTEXT>\n")
LFM2_VL = _chatml("<image>", start="<|startoftext|>")
GEMMA3 = _template(
    user=("<start_of_turn>user\n", "<end_of_turn>\n"),
    assistant=("<start_of_turn>model\n", "<end_of_turn>\n"),
    system=None,
    ask="<start_of_turn>model\n",
    image="<start_of_image>",
    start="<bos>",
)
MISTRAL3 = _template(user=("[INST]", "[/INST]"), assistant=("", "</s>"), ask="", image="[IMG]", start="<s>")
GLM4V = _template(
    user=("<|user|>\n", ""),
    assistant=("<|assistant|>\n", ""),
    ask="<|assistant|>\n",
    image="<|begin_of_image|><|image|><|end_of_image|>",
    start="[gMASK]<sop>",
)
IDEFICS2 = _template(
    user=("User:", "<end_of_utterance>\n"),
    assistant=("Assistant: ", "<end_of_utterance>\n"),
    ask="Assistant:",
    image="<image>",
)
IDEFICS3 = "<|begin_of_text|>" + IDEFICS2
SMOLVLM = "<|im_start|>" + IDEFICS2
MLLAMA = _template(
    user=("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
    assistant=("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
    system=("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
    ask="<|start_header_id|>assistant<|end_header_id|>\n\n",
    image="<|image|>",
    start="<|begin_of_text|>",
)
AYA_VISION = _template(
    user=("<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    assistant=("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>", "<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"),
    ask="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>",
    image="<image>",
    start="<BOS_TOKEN>",
)
VIPLLAVA = _template(user=("###Human: ", ""), assistant=("###Assistant: ", ""), ask="###Assistant:", image="<image>\n")

"""Chat templates with the structure of published ones, and what a question about an image and its answer look like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A template, the tokens it needs, and the texts: what is asked, what leads to an answer, what ends it.

    ``off``: with thinking=off, for a template in which nothing can be trained without.
    """

    template: str
    image: str
    asked: str
    lead: str
    end: str
    bos: str = "<s>"
    eos: str = "</s>"
    ends: tuple[str, ...] = ()
    off: bool = False
    system: str = ""  # "sys" and "q" in it; "" where the template refuses a system message


IM = "<|im_end|>\n<|im_start|>assistant\n"
IMAGES_FIRST = (
    "{% for c in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\\n' }}{% endfor %}"
    "{% for c in message['content'] | selectattr('type', 'equalto', 'text') %}{{ c['text'] + ' ' }}{% endfor %}"
)
PARTS = (
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for c in message['content'] %}"
    "{% if c['type'] == 'image' %}IMAGE{% elif 'text' in c %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}"
)


def chatml(image: str, asked: str = "<|im_start|>assistant\n", default: str = "", before: str = "") -> str:
    return (
        "{% for message in messages %}"
        + (
            "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
            + default
            + "<|im_end|>\n{% endif %}"
            if default
            else ""
        )
        + "<|im_start|>{{ message['role'] }}\n"
        + ("{% if message['role'] == 'assistant' and loop.last %}" + before + "{% endif %}" if before else "")
        + PARTS.replace("IMAGE", image)
        + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}"
        + asked
        + "{% endif %}"
    )


QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
GLM_IMAGE = "<|begin_of_image|><|image|><|end_of_image|>"
QWEN2 = "You are a helpful assistant."
HYBRID = (
    "<|im_start|>assistant\n{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}"
)
GLM = (
    "[gMASK]<sop>\n{%- for message in messages %}"
    "{%- if message['role'] == 'system' %}{{ '<|system|>\n' }}{% elif message['role'] == 'user' %}{{ '<|user|>\n' }}"
    "{% else %}{{ '<|assistant|>\nTHOUGHT' }}{% endif %}" + PARTS.replace("IMAGE", GLM_IMAGE) + "{%- endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\nASKED{% endif %}"
)
GLM_OFF = "{{ '<think></think>\n' if enable_thinking is defined and not enable_thinking else '' }}"
GEMMA = (
    "{{ bos_token }}\n{%- if messages[0]['role'] == 'system' -%}"
    "{%- set prefix = messages[0]['content'][0]['text'] + '\n\n' -%}{%- set rest = messages[1:] -%}"
    "{%- else -%}{%- set prefix = '' -%}{%- set rest = messages -%}{%- endif -%}"
    "{%- for message in rest -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/...') }}{%- endif -%}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n'"
    " + (prefix if loop.first else '') }}"
    "{%- for c in message['content'] -%}{%- if c['type'] == 'image' -%}{{ '<start_of_image>' }}"
    "{%- else -%}{{ c['text'] | trim }}{%- endif -%}{%- endfor -%}"
    "{{ '<end_of_turn>\n' }}{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
)
MISTRAL = (
    "{%- set today = strftime_now('%Y-%m-%d') %}{{- bos_token }}"
    "{%- if messages[0]['role'] == 'system' %}{%- set said = messages[0]['content'][0]['text'] %}"
    "{%- set rest = messages[1:] %}{%- else %}{%- set said = 'It is ' + today %}{%- set rest = messages %}{%- endif %}"
    "{{- '[SYSTEM_PROMPT]' + said + '[/SYSTEM_PROMPT]' }}{%- for message in rest %}"
    "{%- if message['role'] == 'user' %}{{- '[INST]' }}{%- for c in message['content'] %}"
    "{%- if c['type'] == 'image' %}{{- '[IMG]' }}{%- else %}{{- c['text'] }}{%- endif %}{%- endfor %}{{- '[/INST]' }}"
    "{%- else %}{{- message['content'][0]['text'] + eos_token }}{%- endif %}{%- endfor %}"
)
PIXTRAL = (  # answers as strings, questions as parts, the system message in front of the last question
    "{{- bos_token }}{%- if messages[0]['role'] == 'system' %}{%- set said = messages[0]['content'] %}"
    "{%- set rest = messages[1:] %}{%- else %}{%- set rest = messages %}{%- endif %}"
    "{%- for message in rest %}{%- if message['role'] == 'user' %}{{- '[INST]' }}"
    "{%- if said is defined %}{{- said + '\n\n' }}{%- endif %}{%- for c in message['content'] %}"
    "{%- if c['type'] == 'image' %}{{- '[IMG]' }}{%- else %}{{- c['text'] }}{%- endif %}{%- endfor %}{{- '[/INST]' }}"
    "{%- else %}{{- message['content'] + eos_token }}{%- endif %}{%- endfor %}"
)
MLLAMA = (
    "{{- bos_token }}{% for message in messages %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    + PARTS.replace("IMAGE", "<|image|>")
    + "{{- '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
IDEFICS2 = (
    "{% for message in messages %}{{ message['role'].capitalize() }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for c in message['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }}{% else %}{{ '<image>' }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
AYA = (
    "{{ bos_token }}{% for message in messages %}<|START_OF_TURN_TOKEN|>"
    "{{ {'user': '<|USER_TOKEN|>', 'assistant': '<|CHATBOT_TOKEN|>', 'system': '<|SYSTEM_TOKEN|>'}[message['role']] }}"
    "{% if message['role'] == 'assistant' %}<|START_RESPONSE|>{% endif %}"
    + PARTS.replace("IMAGE", "<image>")
    + "{% if message['role'] == 'assistant' %}<|END_RESPONSE|>{% endif %}<|END_OF_TURN_TOKEN|>{% endfor %}"
    "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>{% endif %}"
)
LLAVA_15 = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    + IMAGES_FIRST
    + "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
LLAVA_MISTRAL = (
    "{% for message in messages %}{% if message['role'] == 'user' %}[INST] "
    + IMAGES_FIRST
    + "[/INST]{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'][0]['text'] + '</s> ' }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
ONEVISION = (  # an answer follows "assistant \n", and is asked for with "assistant\n"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for c in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
    "{% for c in message['content'] | selectattr('type', 'equalto', 'text') %}{{ '\n' + c['text'] }}{% endfor %}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
STRINGS = (  # LLaMA-Factory's exports: a turn is one string
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GRID_SYSTEM = "<|im_start|>system\nsys<|im_end|>\n<|im_start|>user\n"

PUBLISHED = {
    "llava-1.5": Published(LLAVA_15, "<image>", "USER: <image>\nq ASSISTANT:", " ", "</s>",
        system="sys USER: <image>\nq ASSISTANT:"),
    "llava-next-mistral": Published(LLAVA_MISTRAL, "<image>", "[INST] <image>\nq [/INST]", " ", "</s>"),
    "llava-onevision": Published(ONEVISION, "<image>", "<|im_start|>user <image>\nq<|im_end|><|im_start|>assistant\n", "",
        "<|im_end|>", system="<|im_start|>system \nsys<|im_end|><|im_start|>user <image>\nq<|im_end|><|im_start|>assistant\n"),
    "qwen2.5-vl": Published(chatml(QWEN_IMAGE, default=QWEN2), "<|image_pad|>",
        f"<|im_start|>system\n{QWEN2}<|im_end|>\n<|im_start|>user\n{QWEN_IMAGE}q{IM}", "", "<|im_end|>",
        system=f"{GRID_SYSTEM}{QWEN_IMAGE}q{IM}"),
    "qwen3-vl": Published(chatml(QWEN_IMAGE), "<|image_pad|>", f"<|im_start|>user\n{QWEN_IMAGE}q{IM}", "", "<|im_end|>",
        system=f"{GRID_SYSTEM}{QWEN_IMAGE}q{IM}"),
    "qwen3-vl-thinking": Published(
        chatml(QWEN_IMAGE, "<|im_start|>assistant\n<think>\n", before="<think>\n\n</think>\n\n"), "<|image_pad|>",
        f"<|im_start|>user\n{QWEN_IMAGE}q{IM}<think>\n\n</think>\n\n", "", "<|im_end|>", off=True,
        system=f"{GRID_SYSTEM}{QWEN_IMAGE}q{IM}<think>\n\n</think>\n\n"),
    "qwen3.5": Published(chatml(QWEN_IMAGE, HYBRID, before="<think>\n\n</think>\n\n"), "<|image_pad|>",
        f"<|im_start|>user\n{QWEN_IMAGE}q{IM}<think>\n\n</think>\n\n", "", "<|im_end|>", off=True,
        system=f"{GRID_SYSTEM}{QWEN_IMAGE}q{IM}<think>\n\n</think>\n\n"),
    "thoughts left out": Published(chatml(QWEN_IMAGE, "<|im_start|>assistant\n<think>\n"), "<|image_pad|>",
        f"<|im_start|>user\n{QWEN_IMAGE}q{IM}<think>\n\n</think>\n\n", "", "<|im_end|>", off=True,
        system=f"{GRID_SYSTEM}{QWEN_IMAGE}q{IM}<think>\n\n</think>\n\n"),
    "internvl3": Published(chatml("<IMG_CONTEXT>\n"), "<IMG_CONTEXT>", f"<|im_start|>user\n<IMG_CONTEXT>\nq{IM}", "",
        "<|im_end|>", system=f"{GRID_SYSTEM}<IMG_CONTEXT>\nq{IM}"),
    "lfm2-vl": Published("{{ bos_token }}" + chatml("<image>"), "<image>", f"<s><|im_start|>user\n<image>q{IM}", "",
        "<|im_end|>", system=f"<s>{GRID_SYSTEM}<image>q{IM}"),
    "glm-4v": Published(GLM.replace("THOUGHT", "").replace("ASKED", ""), "<|image|>",
        f"[gMASK]<sop><|user|>\n{GLM_IMAGE}q<|assistant|>\n", "", "<|user|>", eos="<|endoftext|>",
        ends=("<|endoftext|>", "<|user|>"), system=f"[gMASK]<sop><|system|>\nsys<|user|>\n{GLM_IMAGE}q<|assistant|>\n"),
    "glm-4.1v-thinking": Published(GLM.replace("THOUGHT", "").replace("ASKED", "<think>"), "<|image|>",
        f"[gMASK]<sop><|user|>\n{GLM_IMAGE}q<|assistant|>\n<think>\n\n</think>\n\n", "", "<|user|>", eos="<|endoftext|>",
        ends=("<|endoftext|>", "<|user|>"), off=True,
        system=f"[gMASK]<sop><|system|>\nsys<|user|>\n{GLM_IMAGE}q<|assistant|>\n<think>\n\n</think>\n\n"),
    "glm-4.5v": Published(GLM.replace("THOUGHT", "<think></think>\n").replace("ASKED", GLM_OFF), "<|image|>",
        f"[gMASK]<sop><|user|>\n{GLM_IMAGE}q<|assistant|>\n<think></think>\n", "", "<|user|>", eos="<|endoftext|>",
        ends=("<|endoftext|>", "<|user|>"), off=True,
        system=f"[gMASK]<sop><|system|>\nsys<|user|>\n{GLM_IMAGE}q<|assistant|>\n<think></think>\n"),
    "gemma-3": Published(GEMMA, "<start_of_image>", "<s><start_of_turn>user\n<start_of_image>q<end_of_turn>\n<start_of_turn>"
        "model\n", "", "<end_of_turn>",
        system="<s><start_of_turn>user\nsys\n\n<start_of_image>q<end_of_turn>\n<start_of_turn>model\n"),
    "mistral-3": Published(MISTRAL, "[IMG]", "<s>[SYSTEM_PROMPT]It is 2026-01-01[/SYSTEM_PROMPT][INST][IMG]q[/INST]", "",
        "</s>", system="<s>[SYSTEM_PROMPT]sys[/SYSTEM_PROMPT][INST][IMG]q[/INST]"),
    "pixtral": Published(PIXTRAL, "[IMG]", "<s>[INST][IMG]q[/INST]", "", "</s>", system="<s>[INST]sys\n\n[IMG]q[/INST]"),
    "mllama": Published(MLLAMA, "<|image|>", "<s><|start_header_id|>user<|end_header_id|>\n\n<|image|>q<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n", "", "<|eot_id|>",
        system="<s><|start_header_id|>system<|end_header_id|>\n\nsys<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
        "<|image|>q<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"),
    "idefics2": Published(IDEFICS2, "<image>", "User:<image>q<end_of_utterance>\nAssistant:", " ", "<end_of_utterance>",
        system="System: sys<end_of_utterance>\nUser:<image>q<end_of_utterance>\nAssistant:"),
    "idefics3": Published("<s>" + IDEFICS2, "<image>", "<s>User:<image>q<end_of_utterance>\nAssistant:", " ",
        "<end_of_utterance>", system="<s>System: sys<end_of_utterance>\nUser:<image>q<end_of_utterance>\nAssistant:"),
    "smolvlm": Published("<|im_start|>" + IDEFICS2, "<image>", "<|im_start|>User:<image>q<end_of_utterance>\nAssistant:",
        " ", "<end_of_utterance>", bos="<|im_start|>", eos="<end_of_utterance>",
        system="<|im_start|>System: sys<end_of_utterance>\nUser:<image>q<end_of_utterance>\nAssistant:"),
    "aya-vision": Published(AYA, "<image>", "<s><|START_OF_TURN_TOKEN|><|USER_TOKEN|><image>q<|END_OF_TURN_TOKEN|>"
        "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>", "", "<|END_RESPONSE|>",
        system="<s><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>sys<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>"
        "<image>q<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>"),
    "turns as strings": Published(STRINGS, "<|image_pad|>", f"<|im_start|>user\n{QWEN_IMAGE}\nq{IM}", "", "<|im_end|>",
        system=f"{GRID_SYSTEM}{QWEN_IMAGE}\nq{IM}"),
}  # fmt: skip

"""The chat templates of the tiny families: those of published structure, and two that are not among them."""

from __future__ import annotations

from tests.harness.models.chat_templates import PUBLISHED


def published(name: str) -> str:
    """A template of the structure of a published one."""
    return PUBLISHED[name].template


def turns(image: str, *, before: str, between: str) -> str:
    """A template that writes ``before`` a question and ``between`` it and its answer; ``image`` stands for an image."""
    return (
        "{% for message in messages %}"
        "{% if message['role'] == 'user' %}"
        + before
        + "{% elif message['role'] == 'assistant' %}"
        + between
        + " {% endif %}"
        "{% for part in message['content'] %}{% if part['type'] == 'image' %}" + image + "{% else %}{{ part['text'] }}"
        "{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %}" + between + "{% endif %}"
    )


VIPLLAVA = turns("<image>\n", before="###Human: ", between="###Assistant:")


def template(image: str) -> str:
    """LLaVA-1.5's conversation with another mark for the image."""
    return turns(image, before="USER: ", between=" ASSISTANT:")

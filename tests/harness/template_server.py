"""A chat completions endpoint on loopback that answers with a model, as vLLM 0.32 does: a fake that cannot flatter.

It renders the chat template of the messages it is sent, with their parts in the order they come in (a template that
takes no parts gets images first), adds no special tokens unless ``add_special_tokens`` is sent, takes
``chat_template_kwargs``, decodes greedily, and says what it refuses and why. It shares no code with the harness.
"""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

LOOPS_OVER_PARTS = re.compile(r"for\s+\w+\s+in\s+\w+(\[['\"]content['\"]\]|\.content)")


class Refused(Exception):
    """An HTTP error with vLLM's words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class TemplateServer:
    """The model in ``folder``, served as ``name``. ``calls`` holds the request bodies, ``prompts`` what was rendered.

    Used as a context manager; ``url`` is its base URL.
    """

    def __init__(self, folder: str | Path, name: str = "served") -> None:
        self._model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self._processor: Any = AutoProcessor.from_pretrained(folder)
        self._pad = self._processor.tokenizer.pad_token_id or 0
        self._name, self._lock = name, threading.Lock()
        self.calls: list[dict[str, Any]] = []
        self.prompts: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> TemplateServer:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def complete(self, call: dict[str, Any]) -> dict[str, Any]:
        """The completion of one call."""
        with self._lock:
            self.calls.append(call)
            if call["model"] != self._name:
                raise Refused(404, f"The model `{call['model']}` does not exist.")
            text, images = rendered(self._processor, call)
            self.prompts.append(text)
            inputs = encoded(self._processor, call, text, images)
            asked = inputs["input_ids"].shape[1]
            new = self._generate(inputs, call)
        stops = self._model.generation_config.eos_token_id
        stopped = bool(new) and new[-1] in (stops if isinstance(stops, list) else [stops])
        message = {"role": "assistant", "content": self._processor.tokenizer.decode(new, skip_special_tokens=True)}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": self._name,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop" if stopped else "length"}],
            **({"prompt_token_ids": inputs["input_ids"][0].tolist()} if call.get("return_token_ids") else {}),
            "usage": {"prompt_tokens": asked, "completion_tokens": len(new), "total_tokens": asked + len(new)},
        }

    def _generate(self, inputs: Any, call: dict[str, Any]) -> list[int]:
        if call.get("temperature"):
            raise Refused(400, "this server decodes greedily: temperature must be 0")
        limit = call.get("max_completion_tokens") or call.get("max_tokens") or 16
        with torch.inference_mode():
            out = self._model.generate(
                **inputs,
                max_new_tokens=limit,
                do_sample=False,
                pad_token_id=self._pad,
            )
        tokens: list[int] = out[0, inputs["input_ids"].shape[1] :].tolist()
        return tokens


def rendered(processor: Any, call: dict[str, Any]) -> tuple[str, list[Image.Image]]:
    """The prompt of a call, and its images."""
    images: list[Image.Image] = []
    turns = []
    for message in call["messages"]:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        read = [_part(part, images) for part in parts]
        if not LOOPS_OVER_PARTS.search(processor.chat_template):
            places = [processor.image_token for part in read if part["type"] == "image"]
            turns.append({"role": message["role"], "content": "\n".join(places + _texts(read))})
        else:
            turns.append({"role": message["role"], "content": read})
    options = call.get("chat_template_kwargs") or {}
    try:
        text = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **options)
    except Exception as error:  # what a template raises (a role it does not know) is the caller's fault
        raise Refused(400, str(error)) from error
    return str(text), images


def encoded(processor: Any, call: dict[str, Any], text: str, images: list[Image.Image]) -> Any:
    """The tokens and image inputs of a prompt; special tokens only where the call asks for them."""
    return processor(
        text=[text],
        images=[images] if images else None,
        return_tensors="pt",
        add_special_tokens=bool(call.get("add_special_tokens", False)),
    )


def _part(part: dict[str, Any], images: list[Image.Image]) -> dict[str, Any]:
    if part["type"] == "text":
        return part
    if part["type"] != "image_url":
        raise Refused(400, f"Unknown part type: {part['type']}")
    data = part["image_url"]["url"].partition(";base64,")[2]
    try:
        images.append(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    except OSError as error:
        raise Refused(400, f"Failed to load image: {error}") from error
    return {"type": "image"}


def _texts(parts: list[dict[str, Any]]) -> list[str]:
    return [part["text"] for part in parts if part["type"] == "text"]


def _handler(server: TemplateServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                status, body = 200, server.complete(call)
            except Refused as error:
                said = {"message": str(error), "type": "BadRequestError", "param": None, "code": error.status}
                status, body = error.status, {"error": said}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None: ...

    return Handler

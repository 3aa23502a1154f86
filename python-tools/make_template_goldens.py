"""Render chat templates with the original engine, for the tests of runtime/text/chat_template.

Usage: python3 make_template_goldens.py FOLDER          (needs the package jinja2)
       FOLDER holds NAME.jinja files; receives conversations.jsonl and one NAME.golden per template.

The environment is the one that Hugging Face transformers sets up for chat templates. conversations.jsonl has one JSON object of
variables per line; line i of NAME.golden is the text for it with line breaks escaped, or ERROR if the engine raises.

The templates are written for these tests: roles, special tokens and call formats are those of the model families, the
wording and the structure are our own, spread so that together they use every feature that published templates use.
"""
import datetime
import json
import sys
from pathlib import Path

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = datetime.datetime(2025, 1, 31, 12, 34, 56, tzinfo=datetime.timezone.utc)

TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather of a <city> & \"more\"", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "Name, e.g. Zürich"}, "days": {"type": "integer", "default": 3},
        "units": {"type": "string", "enum": ["metric", "imperial"]}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}},
]
CALL = {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2, "scale": 1.5, "flag": True, "none": None}}}
CALL_TEXT = {"id": "call00002", "type": "function", "function": {"name": "now", "arguments": "{\"zone\": \"UTC\"}"}}


def user(text): return {"role": "user", "content": text}
def system(text): return {"role": "system", "content": text}
def assistant(text, **more): return {"role": "assistant", "content": text, **more}
def tool(text, **more): return {"role": "tool", "content": text, **more}


def conversations():
    chats = [
        [user("Hello")],
        [system("You are helpful."), user("Hi!")],
        [system("  Be brief.\n"), user(" 1+1? "), assistant(" 2 "), user("\nAnd 2+2?\n")],
        [user("Say <|im_end|> or <｜User｜> or [INST] or <|eot_id|>"), assistant("No.</s>"), user("Why?")],
        [user("你好,世界 👍🏽"), assistant("<think>\nLet me think.\n</think>\n\nCafé naïve"), user("go on")],
        [user("a"), assistant("answer", reasoning_content="because"), user("b"), assistant("again", reasoning_content="so\n")],
        [user("a"), user("b")],
        [assistant("I start."), user("ok")],
        [system("s1"), system("s2"), user("u")],
        [user("")],
        [user("quote \" ' \\ tab\t end"), assistant(""), user("x" * 50)],
        [system("only")],
        [],
        [user("Weather?"), assistant("", tool_calls=[CALL]), tool("{\"temp\": 7}", tool_call_id="call00001", name="get_weather"), assistant("7 degrees."), user("Thanks")],
        [user("Weather?"), assistant("Let me look.", tool_calls=[CALL, CALL]), tool("one", tool_call_id="call00001"), tool("two", tool_call_id="call00001")],
        [user("Time?"), assistant(None, tool_calls=[CALL_TEXT]), tool("12:00", tool_call_id="call00002", name="now")],
        [user([{"type": "text", "text": "part one"}, {"type": "text", "text": " part two"}]), assistant("fine"), user("done")],
        [user("call it"), assistant("", reasoning_content="I must call", tool_calls=[CALL]), tool({"temp": 7, "unit": "C"}, tool_call_id="call00001", name="get_weather"), user("and?")],
        [{"role": "developer", "content": "dev text"}, user("u1"), assistant("<think>x</think>y"), user("u2"), assistant("z")],
    ]
    for i, messages in enumerate(chats):
        context = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>"}
        yield context
        if i in (1, 2, 13, 14, 15, 17):
            yield {**context, "tools": TOOLS}
        if i in (0, 5):
            yield {**context, "enable_thinking": False}
            yield {**context, "enable_thinking": True, "thinking": True}
        if i in (2, 5, 13, 14):
            yield {**context, "add_generation_prompt": False}


def environment():
    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda fmt: NOW.strftime(fmt)
    return env


def escape(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")


def main():
    folder = Path(sys.argv[1])
    contexts = list(conversations())
    folder.joinpath("conversations.jsonl").write_text("".join(json.dumps(c, ensure_ascii=False) + "\n" for c in contexts))
    for path in sorted(folder.glob("*.jinja")):
        template = environment().from_string(path.read_bytes().decode())
        lines = []
        for context in contexts:
            try:
                lines.append(escape(template.render(**context)))
            except Exception:  # TemplateError, and the TypeErrors of a template that does not expect such a message
                lines.append("ERROR")
        path.with_suffix(".golden").write_bytes(("\n".join(lines) + "\n").encode())
        print(path.stem, len(lines), "renderings,", lines.count("ERROR"), "errors")


if __name__ == "__main__":
    main()

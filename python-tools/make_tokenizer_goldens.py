"""Make the golden files of the tokenizer tests: small vocabularies, mixed texts, and what the original libraries give.

Usage: python3 make_tokenizer_goldens.py OUTDIR          (needs the packages tokenizers and sentencepiece)
       python3 make_tokenizer_goldens.py --compare PRE VOCAB TEXT   print the ids of a whole text file, for by-hand checks

For each pre-tokenizer a byte-level BPE is trained with Hugging Face `tokenizers` behind the regex chain of that model
family's published tokenizer, and every line of the test text is encoded with it; the SentencePiece case uses
`sentencepiece`. Nothing is downloaded: the text comes from a generator with a fixed seed, built to hit what tokenizers get
wrong: runs of spaces, digits, contractions, CJK beside Latin, combining marks, emoji sequences, controls, long words.

OUTDIR receives lines.txt (one escaped text per line), NAME.vocab (format: test/runtime/text/vocab_file.h) and NAME.ids with
"COUNT HASH" per line: the number of ids and 24 bits of an FNV-1a hash over them, since the ids themselves would be megabytes.
"""
import random
import sys
import tempfile
from pathlib import Path

WS_TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
CJK_WIDE = "[一-龥ࠀ-一가-퟿]+"
# Code point ranges of the letters that deepseek-llm lists; numbers, because editors normalise some of the characters.
DEEPSEEK_LETTERS = "".join("-".join(chr(int(c, 16)) for c in part.split("-")) for part in """
41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376 377 37b-37d 37f 386 388-38a 38c 38e-3a1 3a3-3f5
3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b 1d6b-1d77 1d79-1d9a 1e00-1f15
1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4 1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3
1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102 2107 210a-2113 2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139
213c-213f 2145-2149 214e 2183 2184 2c00-2c7b 2c7e-2ce4 2ceb-2cee 2cf2 2cf3 a640-a66d a680-a69b a722-a76f a771-a787
a78b-a78e ab70-abbf fb00-fb06 fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3 104d8-104fb 10c80-10cb2 10cc0-10cf2
118a0-118df 1e900-1e943""".split())

# name -> (regex chain, look whole pieces up first, special tokens)
FAMILIES = {
    "deepseek-v3": ([r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
                     r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"""
                     + WS_TAIL], False, ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]),
    "deepseek-llm": (["[\r\n]", rf"\s?[{DEEPSEEK_LETTERS}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", CJK_WIDE, r"\p{N}"],
                     False, ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"]),
    "deepseek-coder": (["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK_WIDE, r"\p{N}"], False,
                       ["<｜begin▁of▁sentence｜>", "<|EOT|>"]),
    "qwen2": ([CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + WS_TAIL], False,
              ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
    "llama-bpe": ([CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + WS_TAIL], True,
                  ["<|begin_of_text|>", "<|eot_id|>"]),
    "gpt-4o": ([rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTION}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTION}?"
                r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + WS_TAIL], True, ["<|start|>", "<|end|>", "<|return|>"]),
    "gpt-2": ([GPT2 + r"|\s+"], False, ["<|endoftext|>"]),
    "default": ([r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"], False, ["<|endoftext|>"]),
}
MERGES = 1200
LINES = 2050

WORDS = """the of and a to in is was he for it with as his on be at by i this had not are but from or have an they which one you were all her
she there would their we him been has when who will no more if out so up said what its about than into them can only other time new some
could these two may first then do any like my now over such our man me even most made after also did many off before must well back through
years much where your way down should because long each just state people those too mr how little good world make very year still see own work
men day get here old life both between being under three never know same last another while us might great go come since against right came
take used himself few house American use place during high without again home around small however found Mrs thought went say part once
general upon school every don't does got united left number course war until always away something fact though less public put think almost
hand enough far took head yet government system better set told nothing night end why called didn't eyes find going look asked later
tokenizer embedding attention transformer quantization expert router inference Kubernetes HTTPServer getElementById snake_case_name
McDonald's O'Neill they'll WE'VE I'm it's ISN'T you'd""".split()
ACCENTED = "café naïve Zürich Ærøskøbing señor Łódź Ångström İstanbul ǅungla ﬁancé straße ΑΒΓ αβγδε привет Москва Ђорђе Հայերեն ქართული Ꭰꭰ".split()
CJK = "我们在这里测试分词器的行为东京都日本語の文章をテストするカタカナとひらがな한국어도시험합니다台灣繁體中文龍龘〆々ーヽ"
OTHER = ["مرحبا بالعالم", "السَّلامُ عَلَيْكُم", "नमस्ते दुनिया", "क्षेत्रीय", "ภาษาไทยไม่มีช่องว่าง", "שָׁלוֹם", "বাংলা ভাষা", "தமிழ்", "தமிழ் ௧௨௩", "ᠮᠣᠩᠭᠣᠯ", "አማርኛ"]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "❤️", "✈", "☃︎", "🧑‍🚀", "#️⃣", "🫠"]
SPACES = [" ", "  ", "   ", "\t", "\t\t", " \t ", "\u00a0", "\u2003", "\u3000", "\u0085", "\u2028", "\u200b", "\u180e", "\ufeff", "\v", "\f"]
BREAKS = ["\n", "\n\n", "\r\n", "\r", " \n", "\n ", "\n\t", "  \n\n  ", "\r\n\r\n"]
SYMBOLS = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["...", "->", "=>", "!=", "&&", "||", "/*", "*/", "//", "'''", "```", "。", "、", "「", "」", "！",
                                                         "？", "…", "—", "«", "»", "¿", "€", "£", "°", "±", "×", "÷", "→", "∑", "√", "≠", "™", "©", "“", "”", "’s", "'s", "'ſ", "'LL", "'"]
CONTROLS = ["\x00", "\x01", "\x07", "\x08", "\x1b[31m", "\x7f", "\u0080", "\u009f", "\u200d", "\u202e", "\ue000", "\ufffd", "\U0010fffd"]
MARKS = ["\u0301", "\u0308", "\u0327", "\u20dd", "\u0e31", "\u094d", "\ufe0f"]
CODE = ["def f(x, y=0):", "    return x ** 2 + y", "for (int i = 0; i < n; ++i) {", "\t\tstd::vector<float> v(n);", "#include <stdio.h>", "if (!ptr) return -1;",
        "SELECT * FROM t WHERE id = 42;", "<div class=\"x\">&nbsp;</div>", "{\"key\": [1, 2.5e-3, null]}", "let s = `a${b}c`;", "// TODO: fix\n", "0x7fFF_ffff",
        "\\frac{a}{b}", "https://example.org/a/b?c=d&e=%20f#g", "user@example.org", "C:\\path\\file.txt", "$HOME/.bashrc", "a[::-1]", "x+=1;y--", "CamelCaseHTTPIdentifier2Go"]


def number(r):
    kind = r.randrange(6)
    if kind == 0: return str(r.randrange(10 ** r.randrange(1, 13)))
    if kind == 1: return f"{r.random() * 1000:.{r.randrange(1, 6)}f}"
    if kind == 2: return f"{r.randrange(10**9):,}"
    if kind == 3: return f"{r.randrange(1900, 2100)}-{r.randrange(1, 13):02d}-{r.randrange(1, 29):02d}"
    return r.choice(["٣٤٥٦", "१२३४", "Ⅻ", "½", "²³", "①②③④", "１２３４５", "𝟘𝟙𝟚", "1e10", "3rd", "v2.0.1", "12:34:56"])


def latin(r):
    w = r.choice(WORDS)
    return [w, w.capitalize(), w.upper(), w + r.choice(["s", "ing", "ed", "ly", "ness"])][min(r.randrange(8), 3)] if r.random() < .6 else w


def piece(r):
    k = r.random()
    if k < .45: return latin(r)
    if k < .52: return r.choice(ACCENTED)
    if k < .60:
        at = r.randrange(len(CJK) - 8)
        return CJK[at:at + r.randrange(1, 9)]
    if k < .65: return r.choice(OTHER)
    if k < .69: return r.choice(EMOJI)
    if k < .76: return number(r)
    if k < .86: return "".join(r.choice(SYMBOLS) for _ in range(r.randrange(1, 4)))
    if k < .88: return r.choice(CONTROLS)
    if k < .91: return r.choice("aeonAEO字क") + r.choice(MARKS) * r.randrange(1, 3)
    return r.choice(CODE)


def separator(r):
    k = r.random()
    if k < .70: return " "
    if k < .82: return ""
    if k < .91: return r.choice(SPACES)
    if k < .94: return " " * r.randrange(2, 20)
    return r.choice(BREAKS)


def line(r):
    if r.random() < .01:  # one very long word, or one very long run
        return r.choice([lambda: "".join(r.choice("abcdeXYZéñ") for _ in range(300)), lambda: r.choice(" \ta=字9") * r.randrange(100, 400)])()
    text = "".join(piece(r) + separator(r) for _ in range(r.randrange(1, 12)))
    return separator(r) + text if r.random() < .2 else text


def texts(seed, count):
    r = random.Random(seed)
    fixed = ["", " ", "\n", "\r\n", "a", "'", "''s", " 's", "\u0301", " \u0301a", "I'M we'LL", "1", "12", "123", "1234", "a1b22c333d4444", "  a", "a  ", "\t a", "a\n\n b", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
    return (fixed + [line(r) for _ in range(count)])[:count]


def escape(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")


def fingerprint(ids):
    h = 0x811C9DC5
    for i in ids:
        for shift in (0, 8, 16, 24):
            h = ((h ^ (i >> shift & 255)) * 0x01000193) & 0xFFFFFFFF
    return f"{len(ids)} {h & 0xFFFFFF:06x}"


def pre_tokenizer(chain):
    from tokenizers import Regex, pre_tokenizers as p
    return p.Sequence([p.Split(Regex(c), "isolated") for c in chain] + [p.ByteLevel(add_prefix_space=False, use_regex=False)])


def train_bpe(name):
    """Trains the vocabulary of one family; returns (tokenizer, lines of the .vocab file)."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    chain, ignore_merges, special = FAMILIES[name]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainee = Tokenizer(models.BPE())
    trainee.pre_tokenizer = pre_tokenizer(chain)
    trainee.train_from_iterator(texts(99, 6000), trainers.BpeTrainer(vocab_size=len(special) + 256 + MERGES, special_tokens=special,
                                initial_alphabet=alphabet, show_progress=False))
    import json
    model = json.loads(trainee.to_str())["model"]
    merges = [tuple(m) if not isinstance(m, str) else tuple(m.split(" ")) for m in model["merges"]]
    vocab, out = {}, ["model gpt2", f"pre {name}", "bos 0"]
    def add(text): return vocab.setdefault(text, len(vocab))
    for s in special: add(s); out.append(f"special {escape(s)}")
    for c in alphabet: add(c)
    out.append("alphabet")
    for a, b in merges:
        out.append(f"{'only' if a + b in vocab else 'merge'} {a} {b}"); add(a + b)
    for whole in ("ĠKubernetes", "Ġtransformer", "tokenizer"):  # tokens that no merge makes: only whole-piece lookup finds them
        if whole not in vocab: add(whole); out.append(f"token {whole}")
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer(chain)
    tokenizer.add_special_tokens(special)
    return tokenizer, out


def train_spm(lines):
    """SentencePiece BPE with byte fallback and the settings of Llama; returns (processor, .vocab lines)."""
    import sentencepiece as spm
    with tempfile.TemporaryDirectory() as tmp:
        Path(tmp, "text").write_text("\n".join(t.replace("\n", " ").replace("\r", " ").replace("\0", "") for t in texts(99, 6000)))
        spm.SentencePieceTrainer.train(input=f"{tmp}/text", model_prefix=f"{tmp}/m", model_type="bpe", vocab_size=1800, byte_fallback=True,
                                       normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=True, split_digits=True,
                                       character_coverage=0.98, allow_whitespace_only_pieces=True, minloglevel=2, num_threads=1)
        sp = spm.SentencePieceProcessor(model_file=f"{tmp}/m.model")
    out = ["model llama", "bos 1", "eos 2", "unk 0"]
    for i in range(sp.get_piece_size()):
        kind = 2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 5 if sp.is_unused(i) else 1
        out.append(f"piece {kind} {sp.get_score(i):g} {escape(sp.id_to_piece(i))}")
    return sp, out


def write(path, lines):
    Path(path).write_bytes(("\n".join(lines) + "\n").encode())


def compare(name, vocab_file, text_file):
    """Builds the Hugging Face tokenizer from a .vocab file with `piece` and `only` lines and prints the ids of a text."""
    from tokenizers import Tokenizer, models
    vocab, merges, special = {}, [], []
    n = 0
    for row in Path(vocab_file).read_bytes().decode(errors="surrogateescape").split("\n"):
        key, _, rest = row.partition(" ")
        if key == "piece":
            kind, _, text = rest.split(" ", 2)
            text = text.replace("\\n", "\n").replace("\\\\", "\\"); vocab[text] = n; n += 1
            if kind in "34": special.append(text)
        elif key == "only": merges.append(tuple(rest.split(" ")))
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=FAMILIES[name][1]))
    tok.pre_tokenizer = pre_tokenizer(FAMILIES[name][0]); tok.add_special_tokens(special)
    print(*tok.encode(Path(text_file).read_bytes().decode(), add_special_tokens=False).ids, "")


def main():
    if sys.argv[1] == "--compare":
        return compare(*sys.argv[2:])
    out = Path(sys.argv[1]); out.mkdir(parents=True, exist_ok=True)
    lines = texts(1, LINES)
    write(out / "lines.txt", map(escape, lines))
    for name in FAMILIES:
        tok, vocab = train_bpe(name)
        write(out / f"{name}.vocab", vocab)
        write(out / f"{name}.ids", [fingerprint(tok.encode(t, add_special_tokens=False).ids) for t in lines])
    sp, vocab = train_spm(lines)
    write(out / "spm.vocab", vocab)
    write(out / "spm.ids", [fingerprint(sp.encode(t)) for t in lines])


if __name__ == "__main__":
    main()

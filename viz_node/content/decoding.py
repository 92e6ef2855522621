"""Characters from bytes, by the encoding that the owner names, the file declares or is certain; refuses the rest.

Single-byte encodings differ in a few letters only (`é` of cp1252 is `ι` in cp1253), so a wrong guess garbles a work
without a trace. An undeclared encoding is therefore taken only when every other one that charset-normalizer finds
possible reads clearly worse. Measured on 31 pairs of language and encoding, 46,000 pieces of 30 to 3,000 characters:
none was read wrongly, one in six was certain (`tests/unit/content/test_decoding.py` keeps a part of that).
"""

import codecs
import re

from charset_normalizer import CharsetMatch, from_bytes

from viz_node.content.reading import Reading
from viz_node.domain.counting import counted
from viz_node.errors import UsageError, VerificationError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What browsers read under these names (WHATWG Encoding Standard), by Python's names.
_AS_BROWSERS_DO = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "utf-16": "utf-8",
    "utf-16-le": "utf-8",
    "utf-16-be": "utf-8",
}
_XML_DECLARATION = re.compile(rb"\A\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']")
_HTML_DECLARATION = re.compile(rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)
_DECLARED_WITHIN_BYTES = 2048

_NOT_FOR_FILES = {"charmap", "idna", "palmos", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}

_SAMPLE_BYTES = 1 << 18
_LEAST_BYTES, _LEAST_BYTES_OF_TWO = 60, 200
_MOST_MESS, _LEAST_LEAD = 0.06, 0.1
_LESSER_LEAD, _LEAST_COHERENCE_LEAD = 0.05, 0.2
# Rarer ones are candidates, so that they make a guess uncertain, and never the guess.
_COMMON = frozenset(
    (
        *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp437", "cp850", "cp852"),
        *("cp866", "iso8859_1", "iso8859_2", "iso8859_5", "iso8859_7", "iso8859_9", "iso8859_15", "koi8_r", "koi8_u"),
        *("cp932", "shift_jis", "euc_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr", "cp949", "tis_620", "cp874"),
    )
)
# `®lu»oučký`: a letter of another encoding.
_SIGN_WITHIN_A_WORD = re.compile(r"[^\W\d_][^\w\s\x00-\x7f‘’‐-―…·\u3000-\u303f・\uff00-\uffef]+[^\W\d_]")
_STRAY_SHARE = 50
_NAMED_CANDIDATES = 5


def check_encoding(name: str) -> str:
    """Python's name of a text encoding. Raises: UsageError."""
    try:
        "".encode(name)  # LookupError also for codecs that are not of text, like base64
        codec = codecs.lookup(name).name
    except (LookupError, ValueError):
        codec = ""
    if codec in {"", *_NOT_FOR_FILES}:
        raise UsageError(f"{name[:40]!r} is no text encoding", "say one like utf-8, cp1252, koi8-r or shift_jis")
    return codec


def decode_text(data: bytes, reading: Reading) -> str:
    """The text of a file without markup of its own. Raises: VerificationError (not certain, or not a text)."""
    return _decode(data, reading, "")


def decode_html(data: bytes, reading: Reading) -> str:
    """The text of HTML or XHTML, read as browsers do. Raises: VerificationError."""
    found = _XML_DECLARATION.search(data[:_DECLARED_WITHIN_BYTES])
    found = found or _HTML_DECLARATION.search(data[:_DECLARED_WITHIN_BYTES])
    return _decode(data, reading, found.group(1).decode() if found else "")


def decode_xml(data: bytes, reading: Reading) -> str:
    """The text of XML, which is UTF-8 unless it says otherwise. Raises: VerificationError."""
    found = _XML_DECLARATION.search(data[:_DECLARED_WITHIN_BYTES])
    return _decode(data, Reading(notes=reading.notes), found.group(1).decode() if found else "utf-8")


def _decode(data: bytes, reading: Reading, declared: str) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _exactly(data[len(mark) :], name, "it begins with the mark of")
    if reading.encoding:
        return _exactly(data, reading.encoding, "you said")
    if declared and (text := _as_declared(data, declared)) is not None:
        return text
    if b"\0" in data:
        raise VerificationError("it holds zero bytes: no text, or UTF-16 without a mark (--encoding utf-16-le)")
    if b"\x1b$" in data[:_SAMPLE_BYTES]:
        text = _exactly(data, "iso2022_jp_ext", "its escapes say")
        reading.note("its encoding was guessed: iso-2022-jp")
        return text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _undeclared(data, error.start, reading)


def _exactly(data: bytes, encoding: str, reason: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        byte = data[error.start]
        raise VerificationError(
            f"{reason} {encoding}, but byte 0x{byte:02X} at {error.start} is none of it; say another: --encoding NAME"
        ) from error
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"{reason} {encoding}, which it is not; say another: --encoding NAME") from error


def _as_declared(data: bytes, declared: str) -> str | None:
    try:
        name = check_encoding(declared)
    except UsageError as error:
        raise VerificationError(f"it declares {declared!r}, which is no known encoding: --encoding NAME") from error
    name = _AS_BROWSERS_DO.get(name, name)
    if name == "utf-8" and not _is_utf8(data):
        return None  # judged like an undeclared one: a stray byte, or a wrong declaration
    return _exactly(data, name, "it declares")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _undeclared(data: bytes, first_bad: int, reading: Reading) -> str:
    mended = data.decode("utf-8", "replace")
    stray = mended.count("\ufffd") - data.count("\ufffd".encode())
    whole = sum(character > "\x7f" for character in mended) - stray
    if stray * _STRAY_SHARE > whole:
        return _guessed(data, reading)
    byte = f"0x{data[first_bad]:02X} at {first_bad}"
    reading.note(f"{counted(stray, 'stray byte')}, not UTF-8, became �; the first is {byte}")
    return mended


def _guessed(data: bytes, reading: Reading) -> str:
    """Raises: VerificationError (more than one encoding is possible, or none)."""
    sample = _sample(data)
    matches = list(from_bytes(sample, steps=10, chunk_size=1024, preemptive_behaviour=False, enable_fallback=False))
    names = [name for match in matches for name in match.could_be_from_charset]
    names = sorted(dict.fromkeys(names), key=lambda name: name not in _COMMON)
    if matches and _is_certain(matches, sample):
        texts = {_or_none(data, name) for name in matches[0].could_be_from_charset} - {None}
        text = str(texts.pop()) if len(texts) == 1 else ""
        if text and not _has_wrong_letters(text):
            name = next(name for name in matches[0].could_be_from_charset if name in _COMMON)
            reading.note(f"its encoding was guessed: {name.replace('_', '-')}")
            return text
    could = ", ".join(name.replace("_", "-") for name in names[:_NAMED_CANDIDATES]) or "none that is known"
    raise VerificationError(f"its encoding is not certain (could be {could}); say it: --encoding NAME")


def _is_certain(matches: list[CharsetMatch], sample: bytes) -> bool:
    """Whether there is enough to judge by, and the best is a common encoding that leads all that read otherwise."""
    best = matches[0]
    enough = _LEAST_BYTES_OF_TWO if _is_of_two_bytes(best.encoding) else _LEAST_BYTES
    high = len(sample.translate(None, bytes(range(128))))
    rivals = [match for match in matches[1:] if str(match) != str(best)]
    is_common = not _COMMON.isdisjoint(best.could_be_from_charset)
    is_clean = high >= enough and best.chaos <= _MOST_MESS
    return is_common and is_clean and all(_is_worse(match, best) for match in rivals)


def _is_worse(rival: CharsetMatch, best: CharsetMatch) -> bool:
    """Clearly more mess, or some more in clearly less of a language."""
    lead = rival.chaos - best.chaos
    return lead >= _LEAST_LEAD or (lead >= _LESSER_LEAD and best.coherence - rival.coherence >= _LEAST_COHERENCE_LEAD)


def _has_wrong_letters(text: str) -> bool:
    """Signs within words, or words that end with a capital: letters of another encoding."""
    words = (word for word in re.findall(r"[^\W\d_]{3,}", text) if not word.isascii())
    return bool(_SIGN_WITHIN_A_WORD.search(text)) or any(word[-1].isupper() and word[-2].islower() for word in words)


def _is_of_two_bytes(encoding: str) -> bool:
    return encoding.startswith(("big5", "cp93", "cp94", "cp95", "euc", "gb", "hz", "iso2022", "johab", "shift"))


def _or_none(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (ValueError, LookupError):
        return None


def _sample(data: bytes) -> bytes:
    """The lines that ASCII alone does not explain, of a long text as many as fit."""
    if len(data) <= _SAMPLE_BYTES:
        return data
    lines: list[bytes] = []
    size = 0
    for line in data.splitlines(keepends=True):
        if not line.isascii():
            lines.append(line)
            size += len(line)
            if size > _SAMPLE_BYTES:
                break
    return b"".join(lines)[: 2 * _SAMPLE_BYTES]

"""What is declared or said is obeyed; what is neither is right or refused, and never another alphabet in silence."""

import codecs
import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.content.decoding import check_encoding, decode_html, decode_text, decode_xml
from viz_node.content.reading import Reading
from viz_node.errors import UsageError, VerificationError

TEXTS = {
    "de": "Der Wärter zählte die Schiffe über der Brücke und schrieb ihre Namen in das große grüne Buch. Später öffnete"
    " er die Tür; draußen fiel Schnee auf die Dächer der Häuser, und müde Möwen schliefen.\n",
    "fr": "Le gardien comptait les bateaux à l'entrée du port et écrivait leurs noms dans un très vieux cahier. L'hiver"
    " était déjà là; la mer se levait, et les pêcheurs rentraient plus tôt, fatigués.\n",
    "pl": "Latarnik liczył statki wpływające do portu i zapisywał każdą nazwę w księdze. Zimą księga była już pełna,"
    " więc kupił następną; śnieg leżał na dachach małych domów, a mewy spały na słupach.\n",
    "cs": "Strážce majáku počítal lodě vplouvající do přístavu a zapisoval každé jméno do knihy. Žluťoučký kůň úpěl"
    " ďábelské ódy; sníh ležel na střechách malých domů a racci spali na kůlech.\n",
    "ru": "Маяк стоял на скале, и смотритель считал корабли до самого утра. Зимой книга была уже полна, и он купил"
    " другую; на крышах маленьких домов лежал снег, а чайки спали на столбах.\n",
    "el": "Ο φαροφύλακας μετρούσε τα πλοία που έμπαιναν στο λιμάνι και έγραφε κάθε όνομα στο βιβλίο.\n",
    "ja": "灯台守は霧が晴れるまで船を数えていた。彼は名前を帳面に書いた。冬になると帳面はいっぱいになった。\n",
    "zh": "灯塔守望者数着进港的船只，把每一个名字写进账本。冬天账本写满了，他又买了一本。\n",
    "tw": "燈塔守望者數著進港的船隻，把每一個名字寫進帳本。冬天帳本寫滿了，他又買了一本。\n",
    "ko": "등대지기는 항구로 들어오는 배를 세고 모든 이름을 장부에 적었다. 겨울이 되자 장부가 가득 찼다.\n",
}
LEGACY = (
    ("de", "cp1252"), ("de", "mac-roman"), ("de", "cp850"), ("fr", "latin-1"), ("fr", "iso8859-15"),
    ("pl", "iso8859-2"), ("pl", "cp1250"), ("cs", "iso8859-2"), ("cs", "cp1250"), ("ru", "cp1251"),
    ("ru", "koi8-r"), ("ru", "cp866"),
    ("ru", "iso8859-5"), ("ru", "mac-cyrillic"), ("el", "iso8859-7"), ("ja", "shift_jis"), ("ja", "euc_jp"),
    ("zh", "gb18030"), ("tw", "big5"), ("ko", "euc_kr"),
)  # fmt: skip


@pytest.mark.parametrize(("language", "encoding"), LEGACY)
def test_decode_text__undeclared_legacy_encoding__right_with_a_note_or_refused(language: str, encoding: str) -> None:
    text = TEXTS[language]
    rng = random.Random(encoding)
    pieces = [text * 8, *(text[rng.randrange(len(text) // 2) :] for _ in range(9)), text[:12]]
    for piece in pieces:
        data = piece.encode(encoding)
        if data.isascii():
            continue
        reading = Reading()
        with contextlib.suppress(VerificationError):
            assert decode_text(data, reading) == data.decode(encoding)
            assert "guessed" in reading.notes[0]
        assert decode_text(data, Reading(encoding)) == piece


@pytest.mark.parametrize("language", ["ru", "zh", "tw", "ko", "cs"])
def test_decode_text__long_enough_to_be_certain__read(language: str) -> None:
    encoding = {"ru": "iso8859-5", "zh": "gb18030", "tw": "big5", "ko": "euc_kr", "cs": "cp1250"}[language]
    reading = Reading()
    assert decode_text((TEXTS[language] * 8).encode(encoding), reading) == TEXTS[language] * 8
    assert len(reading.notes) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_decode_text__mark_at_the_beginning__obeyed(encoding: str) -> None:
    mark = "\ufeff".encode(encoding)
    assert decode_text(mark + "Grüße 日本 😀".encode(encoding), Reading()) == "Grüße 日本 😀"
    with pytest.raises(VerificationError, match=r"byte 0x.. at \d+ is none of it"):
        decode_text(mark + b"\xff\xdb" * 3 + b"\xff", Reading())


def test_decode_text__utf8__exact_and_without_a_note() -> None:
    reading = Reading()
    assert decode_text("Grüße, 日本, 😀".encode(), reading) == "Grüße, 日本, 😀"
    assert reading.notes == []


def test_decode_text__zero_bytes_or_seven_bit_japanese__told_or_read() -> None:
    with pytest.raises(VerificationError, match="utf-16-le"):
        decode_text("Grüße".encode("utf-16-le"), Reading())
    assert decode_text("Grüße".encode("utf-16-le"), Reading("utf-16-le")) == "Grüße"
    assert decode_text("灯台守".encode("iso2022_jp"), Reading()) == "灯台守"


def test_decode_text__said_but_wrong__names_the_byte() -> None:
    with pytest.raises(VerificationError, match=r"you said utf-8, but byte 0xFC at 2"):
        decode_text(b"gr\xfcn", Reading("utf-8"))


@pytest.mark.parametrize(
    ("label", "encoding"),
    [("windows-1251", "cp1251"), ("iso-8859-1", "cp1252"), ("shift_jis", "cp932"), ("gb2312", "gb18030"),
     ("koi8-r", "koi8-r"), ("utf-16", "utf-8")],
)  # fmt: skip
def test_decode_html__declared__read_as_browsers_do(label: str, encoding: str) -> None:
    text = {"cp1251": "Маяк", "koi8-r": "Маяк", "cp1252": "„für“ 5 €", "cp932": "①灯台", "gb18030": "镕"}
    body = text.get(encoding, "灯台")
    for head in (
        f'<html><meta charset="{label}">',
        f"<meta http-equiv=Content-Type content='text/html; charset={label}'>",
        f"<?xml version='1.0' encoding='{label}'?>",
    ):
        assert decode_html((head + body).encode(encoding), Reading()) == head + body


def test_decode_html__declaration_that_does_not_hold__refused() -> None:
    with pytest.raises(VerificationError, match="declares 'klingon'"):
        decode_html(b"<meta charset=klingon>", Reading())
    with pytest.raises(VerificationError, match="it declares cp932, but byte"):
        decode_html(b"<meta charset=shift_jis>\x81", Reading())
    with pytest.raises(VerificationError, match="not certain"):
        decode_html(b"<meta charset=utf-8>gr\xfcn", Reading())
    assert decode_html(b"<meta charset=utf-8>gr\xfcn", Reading("cp1252")).endswith("grün")


def test_decode_xml__declared__read() -> None:
    text = "<?xml version='1.0' encoding='windows-1251'?><a>Маяк</a>"
    assert decode_xml(text.encode("cp1251"), Reading()) == text
    assert decode_xml(codecs.BOM_UTF16_LE + "<a>Маяк</a>".encode("utf-16-le"), Reading()) == "<a>Маяк</a>"


@pytest.mark.parametrize(
    "name", ["rot13", "base64", "hex", "idna", "unicode_escape", "utf-7", "x", "", "a\0b", "ü" * 99]
)
def test_check_encoding__no_text_encoding__refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no text encoding"):
        check_encoding(name)


@given(st.binary(max_size=400))
def test_decode_text__any_bytes__text_or_refusal(data: bytes) -> None:
    try:
        decode_text(data, Reading()).encode()
    except VerificationError:
        assert data

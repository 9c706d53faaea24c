#!/usr/bin/env python3
"""Writes the generated half of the tables in tests/unit/mime: rows whose right answer is known by how they are made, not by any parser.

    tests/tools/mime_tables.py          writes addresses_made, dates_made, words_made, params_made, received, charsets (.tsv)

An address, date, text or parameter is chosen first and then written in every way that mail writes it; what a row expects is what was chosen.
Charsets are encoded by Python's codecs. The half that needs thought about broken input is written by hand beside it.
"""
import base64
import calendar
import itertools
from pathlib import Path

TABLES = Path(__file__).resolve().parents[1] / "unit" / "mime"


def escaped(raw):
    """Bytes in the form of the tables."""
    if isinstance(raw, str):
        raw = raw.encode()
    plain = {0x09: "\\t", 0x0a: "\\n", 0x0d: "\\r", 0x5c: "\\\\"}
    return "".join(plain.get(b) or (chr(b) if 32 <= b < 127 else f"\\x{b:02x}") for b in raw)


def write(name, head, rows):
    lines = list(dict.fromkeys("\t".join(escaped(c) for c in row) for row in rows))
    (TABLES / f"{name}.tsv").write_text(f"# {head} Written by tests/tools/mime_tables.py.\n" + "".join(line + "\n" for line in lines))
    print(f"{name}: {len(lines)} rows")


# ---- addresses: a name, a local part and a host, in every notation ----

def address_rows():
    locals_ = {"john": "john", "john.smith": "john.smith", "john smith": '"john smith"', "a@b": '"a@b"', 'q"q': '"q\\"q"', "back\\slash": '"back\\\\slash"',
               "o'neil+tag=x/y": "o'neil+tag=x/y", "jürgen": "jürgen", "..dots": "..dots", "<>": '"<>"', "a,b;c:d": '"a,b;c:d"'}
    hosts = ("example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]", "bücher.example", "xn--bcher-kva.example")
    names = {"": [""], "Alice": ["Alice", '"Alice"', "(c) Alice", "Alice(c)", '"Al" "ice"'.replace('" "', "")],
             "Alice B. Example": ["Alice B. Example", '"Alice B. Example"', 'Alice "B." Example', "Alice\r\n B. (comment) Example"],
             "Doe, John": ['"Doe, John"', '"Doe\\, John"'], "A (B) <C>": ['"A (B) <C>"'], "x@y.z": ['"x@y.z"'], "Müller": ["Müller", '"Müller"'],
             "=?utf-8?Q?M=C3=BCller?=": ["=?utf-8?Q?M=C3=BCller?="], "=?utf-8?Q?a,_b?= c": ["=?utf-8?Q?a,_b?= c"], 'say "hi"': ['"say \\"hi\\""']}

    def expect(name, route, local, host):
        return f"M({name or '~'}|{route or '~'}|{local}|{host})"

    for local, written in locals_.items():
        for host in hosts:
            bare = f"{written}@{host}"
            want = expect("", "", local, host)
            yield bare, want
            yield f"<{bare}>", want
            yield f" ( c1 ) {bare}\r\n ", want.replace("M(~", "M(c1")
    for (name, forms), (local, written), host in itertools.product(names.items(), list(locals_.items())[:4], hosts[:2]):
        for form in forms:
            yield f"{form} <{written}@{host}>", expect(name, "", local, host)
            yield f"{form}<{written}@{host}>", expect(name, "", local, host)
            yield f"{form} <\r\n\t{written} @ {host}\r\n >", expect(name, "", local, host)
    for host in hosts[:2]:
        yield f"Mary <@a.test,@b.test:mary@{host}>", expect("Mary", "@a.test,@b.test", "mary", host)
        yield f"Mary <@a.test:mary@{host}>", expect("Mary", "@a.test", "mary", host)
        yield f"mary@{host} (Mary)", expect("Mary", "", "mary", host)
        yield f"mary (not the name) @ {host} (Mary (the first))", expect("Mary (the first)", "", "mary", host)
        yield f"mary@{host} (Ma\\)ry)", expect("Ma)ry", "", "mary", host)
    one, two, three = "a@x.test", "Bob <b@y.test>", '"C, D" <c@z.test>'
    wants = [expect("", "", "a", "x.test"), expect("Bob", "", "b", "y.test"), expect("C, D", "", "c", "z.test")]
    for order in itertools.permutations(range(3)):
        parts = [(one, two, three)[i] for i in order]
        for comma in (",", ", ", " , ", ",\r\n ", ",,", ", (c),", ";"):
            yield comma.join(parts), " ".join(wants[i] for i in order)
        yield f"Team: {', '.join(parts)};", "G(Team) " + " ".join(wants[i] for i in order) + " E"
        yield f"\"Team: A\":{','.join(parts)};", "G(Team: A) " + " ".join(wants[i] for i in order) + " E"
        yield f"Empty:;, {parts[0]}, Rest: {parts[1]}, {parts[2]};", f"G(Empty) E {wants[order[0]]} G(Rest) {wants[order[1]]} {wants[order[2]]} E"
    for depth in range(1, 9):
        yield f"a@x.test {'(' * depth}n{')' * depth}", expect("(" * (depth - 1) + "n" + ")" * (depth - 1), "", "a", "x.test")


# ---- dates: a moment and a zone, in every notation ----

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
LONG_MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
LONG_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
ZONES = {"UT": 0, "GMT": 0, "UTC": 0, "Z": 0, "EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420,
         "CET": 60, "CEST": 120, "MET": 60, "MEST": 120, "EET": 120, "EEST": 180, "WET": 0, "BST": 60, "JST": 540, "KST": 540, "IST": 330, "AEST": 600,
         "AEDT": 660, "NZST": 720, "NZDT": 780, "HST": -600, "AKST": -540, "AKDT": -480, "MSK": 180, "MSD": 240}


def date_rows():
    def row(text, moment, zone, flags):
        return text, str(calendar.timegm((*moment, 0, 0)[:6] + (0, 0, 0)) - zone * 60), str(zone), flags

    moments = [(1970, 1, 1, 0, 0, 0), (1982, 8, 13, 23, 59, 59), (1999, 12, 31, 23, 59, 59), (2000, 2, 29, 12, 0, 0), (2001, 9, 9, 1, 46, 40),
               (2016, 12, 31, 23, 59, 60), (2026, 11, 22, 19, 53, 48), (2038, 1, 19, 3, 14, 8), (2100, 3, 1, 0, 0, 1), (9999, 12, 31, 23, 59, 59)]
    for moment in moments:
        y, mo, d, h, mi, s = moment
        w = calendar.weekday(y, mo, d)
        for zone in (0, 60, 330, 345, 765, 840, -60, -210, -300, -720):
            z = f"{'-' if zone < 0 else '+'}{abs(zone) // 60:02}{abs(zone) % 60:02}"
            yield row(f"{DAYS[w]}, {d} {MONTHS[mo - 1]} {y} {h:02}:{mi:02}:{s:02} {z}", moment, zone, "TSZW")
            yield row(f"{d} {MONTHS[mo - 1]} {y} {h:02}:{mi:02}:{s:02} {z} (a (nested) comment)", moment, zone, "TSZ")
            yield row(f"{y}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}{z[:3]}:{z[3:]}", moment, zone, "TSZ")
        yield row(f"{LONG_DAYS[w]}, {d:02}-{MONTHS[mo - 1]}-{y % 100:02} {h:02}:{mi:02}:{s:02} GMT" if 1950 <= y < 2050 else
                  f"{LONG_DAYS[w]}, {d:02}-{MONTHS[mo - 1]}-{y} {h:02}:{mi:02}:{s:02} GMT", moment, 0, "TSZW")
        yield row(f"{DAYS[w]} {MONTHS[mo - 1]} {d:2} {h:02}:{mi:02}:{s:02} {y}", moment, 0, "TSW")
        yield row(f"{d} {LONG_MONTHS[mo - 1]} {y} {h:02}:{mi:02} +0000", (y, mo, d, h, mi, 0), 0, "TZ")
        yield row(f"{DAYS[w].upper()},{d} {MONTHS[mo - 1].lower()} {y} {h:02}:{mi:02}:{s:02} -0000", moment, 0, "TSW")
        yield row(f"{DAYS[w]}(x), {d} (y) {MONTHS[mo - 1]}\r\n {y}\t{h:02} : {mi:02} : {s:02} (z) +0100", moment, 60, "TSZW")
        yield row(f"{y}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02}", moment, 0, "TS")
        yield row(f"{d}/{mo}/{y} {h:02}:{mi:02}:{s:02}" if d > 12 else f"{mo}/{d}/{y} {h:02}:{mi:02}:{s:02}", moment, 0, "TS")
        yield row(f"{d}.{mo}.{y} {h:02}:{mi:02}:{s:02}", moment, 0, "TS")
        twelve, half = (h % 12 or 12), "AM" if h < 12 else "PM"
        yield row(f"{d} {MONTHS[mo - 1]} {y} {twelve}:{mi:02}:{s:02} {half}", moment, 0, "TS")
        yield row(f"{DAYS[w]}, {d} {MONTHS[mo - 1]} {y} {twelve:02}:{mi:02}:{s:02} {half} -0500", moment, -300, "TSZW")
    for name, zone in ZONES.items():
        yield row(f"Sun, 22 Nov 2026 19:53:48 {name}", (2026, 11, 22, 19, 53, 48), zone, "TSZW")
        yield row(f"Sun Nov 22 19:53:48 {name} 2026", (2026, 11, 22, 19, 53, 48), zone, "TSZW")
    for i in range(12):
        yield row(f"1 {MONTHS[i]} 2024 00:00:00 +0000", (2024, i + 1, 1, 0, 0, 0), 0, "TSZ")
        yield row(f"{calendar.monthrange(2023, i + 1)[1]} {LONG_MONTHS[i]} 2023 23:59:59 +0000",
                  (2023, i + 1, calendar.monthrange(2023, i + 1)[1], 23, 59, 59), 0, "TSZ")
    for two in (0, 1, 49, 50, 69, 70, 99):
        yield row(f"2 Mar {two:02} 04:05:06 GMT", (two + (2000 if two < 50 else 1900), 3, 2, 4, 5, 6), 0, "TSZ")
    for three in (100, 101, 126):  # what programs wrote that counted years from 1900
        yield row(f"2 Mar {three} 04:05:06 GMT", (three + 1900, 3, 2, 4, 5, 6), 0, "TSZ")


# ---- Received: clauses in any number and order ----

def received_rows():
    clauses = {"from": [("mail.example.org", "from mail.example.org"), ("mail.example.org", "FROM mail.example.org (mail.example.org [192.0.2.1])"),
                        ("[192.0.2.1]", "from [192.0.2.1] (helo=x)"), ("", "from (unknown [192.0.2.1])"), ("a.test", "from a.test(a (b) c)")],
               "by": [("mx.test", "by mx.test"), ("mx.test", "by mx.test (8.11.6/8.11.6)"), ("mx.test", "By mx.test (with SMTP; for <x>)")],
               "via": [("TCP", "via TCP")], "with": [("ESMTPS", "with ESMTPS"), ("SMTP", "with SMTP (TLS1.3)")],
               "id": [("4abc", "id 4abc"), ("<1@mx.test>", "id <1@mx.test>")], "for": [("a@b.test", "for <a@b.test>"), ("a@b.test", "for a@b.test (c)")]}
    dates = [("; Thu, 1 Jan 1970 00:00:02 +0000", "2"), (";\r\n\tThu, 1 Jan 1970 00:01:00 +0001 (CET)", "0"), ("", "~"), ("; never", "~")]
    names = list(clauses)
    for date, seconds in dates:
        for subset in ((0, 1), (0, 1, 3), (0, 1, 3, 4), (0, 1, 3, 4, 5), (0, 1, 2, 3, 4, 5), (1,), (1, 3), (1, 0, 3, 4), (4, 1, 5, 0)):
            for form in range(5):
                chosen = [(names[i], clauses[names[i]][form % len(clauses[names[i]])]) for i in subset]
                got = {name: value for name, (value, _) in chosen}
                want = "|".join(got.get(name) or "~" for name in names) + "|" + seconds
                yield " ".join(text for _, (_, text) in chosen) + date, want
                yield "\r\n\t".join(text for _, (_, text) in chosen) + date, want
    yield "(from root@localhost) by mx.test (8.9.3) id AAA01; Thu, 1 Jan 1970 00:00:00 GMT", "~|mx.test|~|~|AAA01|~|0"
    yield "(qmail 1234 invoked by uid 500); 1 Jan 1970 00:00:00 -0000", "~|~|~|~|~|~|0"
    yield "", "~|~|~|~|~|~|~"
    yield "from by with id for", "by|~|~|id|~|~|~"
    yield "from a by b with c id d for e with f; x; Thu, 1 Jan 1970 00:00:09 +0000", "a|b|~|c|d|e|9"


# ---- encoded words ----

TEXTS = {"utf-8": ["Grüße", "你好,世界", "Привет", "שלום", "😀 smile", "a = b? c_d"], "iso-8859-1": ["Grüße", "Ã", "a_b?c=d"], "iso-8859-15": ["5 €"],
         "windows-1252": ["“quoted” – 5 €"], "windows-1251": ["Привет, мир"], "koi8-r": ["Привет, мир"], "gb2312": ["你好"], "gbk": ["囍"],
         "gb18030": ["𠀀"], "big5": ["你好"], "shift_jis": ["こんにちは"], "euc-jp": ["こんにちは"], "iso-2022-jp": ["こんにちは"], "euc-kr": ["안녕"],
         "windows-1255": ["שלום"], "windows-1253": ["Καλημέρα"], "tis-620": ["สวัสดี"], "iso-8859-9": ["Işık"], "windows-1258": ["Đông"]}


def q_encoded(raw):
    return "".join("_" if b == 32 else chr(b) if chr(b).isascii() and chr(b).isalnum() else f"={b:02X}" for b in raw)


def words_of(text, charset):
    raw = text.encode(charset)
    b64 = base64.b64encode(raw).decode()
    yield f"=?{charset}?B?{b64}?="
    yield f"=?{charset.upper()}?b?{b64}?="
    yield f"=?{charset}?Q?{q_encoded(raw)}?="
    yield f"=?{charset}*en?q?{q_encoded(raw).lower() if charset == 'x' else q_encoded(raw)}?="


def word_rows():
    for charset, texts in TEXTS.items():
        for text in texts:
            for word in words_of(text, charset):
                yield word, text
                yield f"Re: {word} (end)", f"Re: {text} (end)"
                yield f"{word}\r\n {word}", text + text
            raw = text.encode(charset)
            if charset.startswith(("iso-2022", "utf-16")):
                continue
            for cut in range(1, len(raw)):  # one character over two words, in B and Q
                one, two = raw[:cut], raw[cut:]
                if cut < 6:
                    yield (f"=?{charset}?B?{base64.b64encode(one).decode()}?= =?{charset}?Q?{q_encoded(two)}?=", text)


# ---- parameters ----

def percent(raw):
    return "".join(chr(b) if chr(b).isascii() and chr(b).isalnum() else f"%{b:02X}" for b in raw)


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def param_rows():
    values = ["a.txt", "two words.txt", 'quo"te', "back\\slash", "semi;colon", "it's 100% *fun*", "Grüße.txt", "你好.doc", "😀", "(paren)", "a=b", "long" * 30]
    for value in values:
        ways = [f"name={quoted(value)}", f"NAME = {quoted(value)}", f"x=1; name={quoted(value)}; y=2", f"x=1;\r\n\tname={quoted(value)} (comment)"]
        for charset in ("utf-8", "iso-8859-1", "gb18030"):
            try:
                raw = value.encode(charset)
            except UnicodeEncodeError:
                continue
            ways += [f"name*={charset}''{percent(raw)}", f"name*={charset.upper()}'en'{percent(raw)}", f"Name*0*={charset}''{percent(raw)}"]
            for size in (1, 3, 7):
                pieces = [raw[i:i + size] for i in range(0, len(raw), size)]
                if len(pieces) > 120:
                    continue
                coded = [f"name*{i}*={charset + chr(39) * 2 if i == 0 else ''}{percent(p)}" for i, p in enumerate(pieces)]
                ways += ["; ".join(coded), "; ".join(reversed(coded)), ";\r\n ".join(coded), "; name=wrong; ".join(["", *coded[:1]])[2:] + "".join("; " + c for c in coded[1:])]
        if value.isascii():
            half = len(value) // 2
            ways += [f"name*0={quoted(value[:half])}; name*1={quoted(value[half:])}", f"name*1={quoted(value[half:])}; name*0={quoted(value[:half])}",
                     f"name*0*=us-ascii''{percent(value[:half].encode())}; name*1={quoted(value[half:])}"]
        word = base64.b64encode(value.encode()).decode()
        ways += [f'name="=?utf-8?B?{word}?="', f"name==?utf-8?B?{word}?="]
        for way in ways:
            yield f"application/octet-stream; {way}", "application/octet-stream", "name", value
        if value.isascii() and not set(value) & set(' "\\;()='):
            yield f"a/b; name={value}", "a/b", "name", value
            yield f"a/b;name={value};", "a/b", "name", value


# ---- charsets: every label that mail uses, with a text that its set can write ----

LABELS = {
    "cp1252": ("“Grüße” – 5 €", "windows-1252 cp1252 cp-1252 WINDOWS1252 x-ansi win-1252"),
    "iso8859-1": ("Grüße à ç", "iso-8859-1 ISO8859-1 iso_8859-1 iso_8859-1:1987 latin1 Latin-1 l1 cp819 IBM819 csISOLatin1 iso-ir-100 8859-1"),
    "iso8859-2": ("Zażółć gęślą", "iso-8859-2 latin2 csISOLatin2 iso8859_2 iso-ir-101"), "iso8859-3": ("ĝĥĵ", "iso-8859-3 latin3"),
    "iso8859-4": ("ąęė", "iso-8859-4 latin4"), "iso8859-5": ("Привет, мир", "iso-8859-5 cyrillic csISOLatinCyrillic"),
    "iso8859-6": ("مرحبا", "iso-8859-6 arabic iso-8859-6-i"), "iso8859-7": ("Καλημέρα", "iso-8859-7 greek ELOT_928"),
    "iso8859-8": ("שלום", "iso-8859-8 iso-8859-8-i iso-8859-8-e hebrew logical"), "iso8859-9": ("Işık ğ", "iso-8859-9 latin5 windows-1254 cp1254"),
    "iso8859-10": ("ĄĒĢ", "iso-8859-10 latin6"), "iso8859-13": ("ĄĮĀ", "iso-8859-13"), "iso8859-14": ("Ŵŵ Ŷŷ", "iso-8859-14"),
    "iso8859-15": ("5 € Œ", "iso-8859-15 latin-9 latin9 ISO_8859-15"), "iso8859-16": ("Șș Țț", "iso-8859-16"),
    "cp1250": ("Příliš žluťoučký", "windows-1250 cp1250 x-cp1250 win-1250"), "cp1251": ("Привет, мир", "windows-1251 cp1251 cp-1251 WIN-1251"),
    "cp1253": ("Καλημέρα", "windows-1253 cp1253"), "cp1255": ("שלום", "windows-1255 cp1255"), "cp1256": ("مرحبا", "windows-1256 cp1256"),
    "cp1257": ("ąčęė", "windows-1257 cp1257"), "cp1258": ("Đông", "windows-1258 cp1258"), "cp437": ("ñ½¼ straße", "cp437 ibm437 IBM-437 437 cspc8codepage437".rsplit(" ", 1)[0]),
    "cp850": ("Grüße ð", "cp850 cp-850 ibm850 IBM-850 850"), "cp852": ("Zażółć", "cp852 ibm852"), "cp855": ("Привет", "cp855 ibm855"),
    "cp857": ("ğışİ", "cp857"), "cp858": ("5 €", "cp858"), "cp860": ("ãõ", "cp860"), "cp861": ("Þð", "cp861"), "cp862": ("שלום", "cp862 ibm862"),
    "cp863": ("éèê", "cp863"), "cp865": ("Øø", "cp865"), "cp866": ("Привет, мир", "cp866 ibm866 IBM-866 866"), "cp869": ("Καλ", "cp869"),
    "cp775": ("ąčę", "cp775"), "cp737": ("Καλ", "cp737"), "koi8-r": ("Привет, мир", "koi8-r KOI8R koi8 csKOI8R"), "koi8-u": ("Їжак і ґава", "koi8-u KOI8-RU"),
    "koi8-t": ("Ғафур", "koi8-t"), "mac-roman": ("Grüße •", "macintosh x-mac-roman mac"), "mac-cyrillic": ("Привет", "x-mac-cyrillic"),
    "mac-latin2": ("Zażółć", "x-mac-ce x-mac-centraleurope"), "tis-620": ("สวัสดี", "tis-620 TIS620 windows-874 cp874 iso-8859-11 dos-874"),
    "hp-roman8": ("Grüße", "hp-roman8 roman8 csHPRoman8"), "ptcp154": ("Қазақ", "pt154 ptcp154"),
    "gb2312": ("你好，世界", "gb2312 GB2312 gb_2312-80 GB2312-80 chinesegb2312 csGB2312 euc-cn EUC-CN cn-gb x-gb2312 gb2312_charset iso-ir-58"),
    "gbk": ("囍朱镕基", "gbk x-gbk cp936 ms936 windows-936 gb2312"), "gb18030": ("𠀀你好㐀", "gb18030 GB-18030 gb2312 x-gbk"),
    "big5": ("你好，世界", "big5 Big5 cn-big5 x-big5 csBig5 chinesebig5 big5-eten bigfive cp950 ms950"), "big5hkscs": ("你好嘅", "big5-hkscs big5hkscs big5"),
    "shift_jis": ("こんにちは、世界ﾃｽﾄ", "shift_jis Shift-JIS sjis x-sjis ms_kanji csShiftJIS cp932 windows-31j x-ms-cp932"),
    "cp932": ("①髙﨑㈱", "shift_jis cp932 windows-31j"), "euc_jp": ("こんにちは、世界", "euc-jp EUCJP x-euc-jp ujis x-euc eucjp-ms"),
    "iso2022_jp": ("こんにちは、世界", "iso-2022-jp ISO2022-JP csISO2022JP iso-2022-jp-1 iso-2022-jp-2 iso-2022-jp-3 iso-2022-jp-ms cp50220 cp50221 jis"),
    "euc_kr": ("안녕하세요 세계", "euc-kr EUCKR x-euc-kr ks_c_5601-1987 KS_C_5601-1989 ksc5601 ks_c_5601 KSC_5601 csKSC56011987 korean iso-ir-149"),
    "cp949": ("똠방각하 펲시콜라", "ks_c_5601-1987 euc-kr cp949 windows-949 uhc x-windows-949 ms949"), "iso2022_kr": ("안녕하세요", "iso-2022-kr csISO2022KR"),
    "johab": ("똠방각하", "johab x-johab"), "hz": ("你好，世界", "hz-gb-2312 HZ-GB-2312 hz"),
    "utf-7": ("Grüße 你好", "utf-7 UTF7 unicode-1-1-utf-7 x-unicode-2-0-utf-7"),
    "utf-8": ("Grüße 你好 😀", "utf-8 UTF8 \"utf-8\" 'utf-8' x-utf-8 unicode-1-1-utf-8 csUTF8 utf_8 utf-8-mac"), "utf-16": ("Grüße 你好", "utf-16 UTF16 unicode ucs-2 iso-10646-ucs-2"),
    "utf-16-be": ("Grüße a", "utf-16be utf-16 unicodeFFFE"), "utf-16-le": ("Grüße a", "utf-16le utf-16"), "utf-32": ("Grüße 你好", "utf-32 ucs-4"),
    "ascii": ("plain text", "us-ascii ascii ANSI_X3.4-1968 ANSI_X3.4-1986 iso646-us x-unknown unknown-8bit default default_charset none 7bit x-nonsense csASCII utf-8 "
              "iso-8859-1 gb2312 big5 koi8-r shift_jis euc-kr iso-2022-jp utf-7 hz-gb-2312 windows-1251 iso-2022-kr utf-16 unicode"),
}


def charset_rows():
    for codec, (text, labels) in LABELS.items():
        for label in labels.split(" "):
            yield label, text.encode(codec), text
    utf8 = "Grüße, Ελλάδα, Привет, 你好"
    for label in ("us-ascii", "iso-8859-1", "windows-1252", "koi8-r", "windows-1251", "iso-8859-7", "iso-8859-2", "x-unknown", "nonsense", "", "gb2312", "shift_jis",
                  "euc-kr", "euc-jp", "utf-16"):  # a wrong label, certain by the bytes
        yield label, utf8.encode(), utf8
        yield label, b"\xef\xbb\xbf" + utf8.encode(), utf8
    japanese, korean = "こんにちは", "안녕하세요"
    for label in ("us-ascii", "iso-8859-1", "utf-8", "windows-1252", "x-unknown", ""):
        yield label, japanese.encode("iso2022_jp"), japanese
        yield label, korean.encode("iso2022_kr"), korean
        yield label, "Grüße".encode("utf-16"), "Grüße"
    for label in ("iso-2022-jp", "iso-2022-jp-2", "csISO2022JP"):
        yield label, japanese.encode("euc_jp"), japanese
        yield label, "日本語テスト".encode("cp932"), "日本語テスト"
    for label in ("us-ascii", "iso-8859-1", "x-unknown", "default", "nonsense", ""):
        yield label, "5 €, “Grüße”".encode("cp1252"), "5 €, “Grüße”"
    yield "windows-1251", "Ні".encode("cp1251"), "Ні"
    yield "koi8-r", "её".encode("koi8-r"), "её"
    yield "gb2312", "联通".encode("gb2312"), "联通"  # valid UTF-8, and still not meant so
    for label, raw, text in (("utf-8", b"a\xffb", "a\ufffdb"), ("utf-8", b"\xc3", "\ufffd"), ("utf-8", b"\xed\xa0\x80", "\ufffd" * 3), ("utf-8", b"\xc0\x80", "\ufffd" * 2),
                             ("utf-8", b"\xf4\x90\x80\x80", "\ufffd" * 4), ("gb2312", b"a\xff b", "a\ufffd b"), ("euc-kr", b"\xc7", "\ufffd"),
                             ("iso-2022-jp", b"\x1b$B$3\x1b(B", "こ"), ("iso-8859-1", b"\x80\x81\x9f", "€\x81Ÿ"), ("hz-gb-2312", b"~{<:Ky2;~}~~", "己所不~")):
        yield label, raw, text


def main():
    write("addresses_made", "As addresses.tsv.", address_rows())
    write("dates_made", "As dates.tsv.", date_rows())
    write("words_made", "As words.tsv.", word_rows())
    write("params_made", "As params.tsv.", param_rows())
    write("received", "A Received field; from|by|via|with|id|for|seconds since 1970, ~ for what is not there.", received_rows())
    write("charsets", "A charset label, bytes, the text they are.", charset_rows())


if __name__ == "__main__":
    main()

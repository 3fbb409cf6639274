"""The texts of the golden file: (name, text) pairs that visit what a tokenizer can get wrong.

Invisible and ambiguous characters are written as escapes. Long texts are built by repetition with a
counter, so that no two windows of them are equal.
"""


def _numbered(sentence: str, count: int) -> str:
    return " ".join(f"{sentence} {i}" for i in range(1, count + 1))


SCRIPTS = [
    ("english", "The quick brown fox jumps over the lazy dog."),
    ("english_question", "How do I reset my password if I no longer have access to my e-mail account?"),
    ("english_contractions", "They'd've said it's o'clock; the dogs' owner isn't rock'n'roll."),
    ("german", "Der Fußgängerübergang an der Äußeren Straße ist größer als übermäßig schöne Öfen."),
    ("french", "L'été dernier, où étiez-vous ? À Noël, peut-être, chez le garçon naïf."),
    ("vietnamese", "Tiếng Việt dùng chữ Quốc ngữ với nhiều dấu thanh khác nhau."),
    ("turkish", "İstanbul'da ışıklar söndü; DİYARBAKIR'ın ılık ığdırlı çığlıkları."),
    ("polish", "Zażółć gęślą jaźń, a Łódź leży nad Łódką."),
    ("russian", "Съешь же ещё этих мягких французских булок, да выпей чаю."),
    ("ukrainian", "Чуєш їх, доцю, га? Кумедна ж ти, прощайся без ґольфів!"),
    ("greek", "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία. Ο Οδυσσέας ΟΔΥΣΣΕΥΣ."),
    ("arabic", "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر."),
    ("arabic_vocalised", "بِسْمِ ٱللَّهِ ٱلرَّحْمَٰنِ ٱلرَّحِيمِ"),
    ("hebrew", "דג סקרן שט בים מאוכזב ולפתע מצא חברה."),
    ("hebrew_points", "בְּרֵאשִׁית בָּרָא אֱלֹהִים"),
    ("hindi", "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश।"),
    ("tamil", "யாமறிந்த மொழிகளிலே தமிழ்மொழி போல் இனிதாவது எங்கும் காணோம்"),
    ("thai", "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน"),
    ("chinese", "我能吞下玻璃而不伤身体。天地玄黃,宇宙洪荒。"),
    ("chinese_rare", "\U00020000\U0002a6df 㐀㐁 𠮷野家"),
    ("japanese", "いろはにほへと ちりぬるを 東京スカイツリーへ行きました。ガギグゲゴ"),
    ("japanese_halfwidth", "ﾊﾝｶｸ ｶﾞｷﾞｸﾞ ＦＵＬＬ ｗｉｄｔｈ １２３"),
    ("korean", "다람쥐 헌 쳇바퀴에 타고파. 동해물과 백두산이"),
    ("georgian_armenian", "ქართული ენა და Հայոց լեզու"),
]

CHARACTERS = [
    ("emoji", "I love pizza 🍕 and tea 🍵!!! 😂😂🔥"),
    ("emoji_zwj", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family, "
                  "\U0001f9d1\U0001f3fd\u200d\U0001f680 astronaut, \u2764\ufe0f\u200d\U0001f525"),
    ("emoji_flags", "\U0001f1e9\U0001f1ea \U0001f1ef\U0001f1f5 "
                    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"),
    ("emoji_keycaps_skin", "1\ufe0f\u20e3 #\ufe0f\u20e3 \U0001f44d\U0001f3ff \U0001f44d\U0001f3fb"),
    ("combining_marks", "cafe\u0301 vs caf\u00e9, Z\u0351\u036b\u0343a\u0329\u034cl\u034eg\u0321o\u0489, "
                        "n\u0303, A\u030a \u212b \u00c5"),
    ("combining_first", "\u0301starts with a mark \u0301 \u0308"),
    ("ligatures_math", "ﬁne ﬂow ½ ² ™ ℌ 𝕳𝖊𝖑𝖑𝖔 𝓌𝑜𝓇𝓁𝒹 Ⅷ ① ﷺ"),
    ("casing", "ǅungla ẞ ß ŉ ſtraße Σίσυφος ΑΣ ﬀ Ω K"),
    ("control_characters", "bell\u0007 back\u0008space esc\u001b[31m nul\u0000 del\u007f next\u0085line \ufffd end"),
    ("tabs_newlines", "\tfirst\tcell\r\nsecond\nline\r third\x0b fourth\x0c fifth \n\n\n"),
    ("unicode_spaces", "no\u00a0break en\u2002space em\u2003space thin\u2009space "
                       "ideographic\u3000space ogham\u1680mark line\u2028sep para\u2029sep"),
    ("zero_width", "zero\u200bwidth joi\u200dner non\u200cjoiner word\u2060joiner bom\ufeffinside soft\u00adhyphen"),
    ("byte_order_mark", "\ufeffstarts with a byte order mark"),
    ("rtl_marks", "abc \u200fdef\u200e \u202ereversed\u202c \u2067isolate\u2069 \u061c!"),
    ("private_unassigned", "\ue000\uf8ff \U000f0000 \U0010fffd \u0378 \ufffe \uffff"),
    ("only_controls", "\u0001\u0002\u200b\u200d"),
    ("only_spaces", " \t\n "),
]

SHAPES = [
    ("one_word", "hello"),
    ("one_word_uppercase", "INTERNATIONALIZATION"),
    ("one_character", "a"),
    ("one_character_cjk", "水"),
    ("one_character_emoji", "🦊"),
    ("one_punctuation", "."),
    ("punctuation_only", "?!... --- *** ()[]{}<> «» “” ‘’ „‚ … – — ¿¡ § ¶ † ‡ • ~`^$+=|\\/@#%&_"),
    ("cjk_punctuation", "、。「」『』【】〜・!?:;"),
    ("numbers", "3.14159 1,000,000 -42 6.022e23 0xDEADBEEF 2026-01-31T23:59:59Z +49 (0)30 123-456 ٣٤٥ ४५६"),
    ("url", "https://user@example.com:8443/a/b%20c/index.html?q=x&y=[1]#frag see ftp://127.0.0.1 or me@example.org"),
    ("code_cpp", "template <typename T> int f(const T& x) { return x->y[0] != nullptr ? ~x.z() : 0; } // ok"),
    ("code_python", "def f(x):\n    return {k: v**2 for k, v in x.items() if v >= 0}  # __dunder__"),
    ("json", '{"key": [1, 2.5, null, true], "nested": {"a\\u00e9": "\\n"}}'),
    ("special_token_text", "[CLS] a literal [SEP] and [MASK] or [PAD] and [UNK] [mask] [ SEP ]"),
    ("wordpiece_marks", "##ing ## un##able a##b"),
    ("mixed_scripts", "Hello мир 世界 γειά שלום مرحبا नमस्ते สวัสดี 안녕 こんにちは 🌍"),
    ("mixed_in_word", "abcдеф漢字xyz한글123αβγ"),
    ("word_100", "a" * 100),
    ("word_101", "a" * 101),
    ("word_over_100", "Donau" + "dampfschifffahrts" * 10 + "gesellschaft end"),
    ("word_5000_cyrillic", "ж" * 5000 + " after"),
    ("repeated_word", "again " * 40),
]

LONG = [
    ("exactly_256_tokens", "word " * 254),
    ("exactly_257_tokens", "word " * 255),
    ("long_english", _numbered("The committee approved the annual budget for the northern region in year", 50)),
    ("long_russian", _numbered("Комитет утвердил годовой бюджет северного региона", 30)),
    ("long_chinese", _numbered("委员会批准了北部地区的年度预算。", 50)),
    ("long_arabic", _numbered("وافقت اللجنة على الميزانية السنوية للمنطقة الشمالية", 30)),
    ("long_korean", _numbered("위원회는 북부 지역의 연간 예산을 승인했습니다.", 20)),
    ("long_thai", _numbered("คณะกรรมการอนุมัติงบประมาณประจำปีของภาคเหนือ", 30)),
    ("long_emoji", _numbered("🍕 🚀🔥", 150)),
    ("long_punctuation", "!?." * 250),
]

TEXTS = SCRIPTS + CHARACTERS + SHAPES + LONG

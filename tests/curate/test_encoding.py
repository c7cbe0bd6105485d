"""Text decoded with the wrong encoding, right text that resembles it, and characters that no reader sees."""

import pytest

from fineline.curate.encoding import is_mojibake, strip_invisible

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize(
    "text",
    [
        *("cafÃ© au lait", "donâ€™t", "a � b", "Ã¼ber", "5â€“6", "Ã‰cole", "Ã…ngstrÃ¶m", "naÃ¯ve", "dÃ©jÃ\u00a0 vu", "ÃƒÂ©"),
        *("MÃ¡laga", "MÃ©xico", "SÃ£o Paulo", "SÃƒO PAULO", "CORAÃ‡ÃƒO", "MÃ‰XICO", "FRANÃ‡OIS", "Ã“SCAR", "LÃ¡ fora"),
        *("25Â°C", "Â£5", "Â© 2020", "one.Â\u00a0Two", "IBMÂ® and", "PARISÂ\u00a0: la ville", "SJÃ– PÃ…", "lÃ\u00adder"),
        *("MÃ–BEL", "SMÃ…LAND", "CÃ”TE D'AZUR", "CAFÃ‰", "CITTÃ€", "MÃœLLER", "L’Ã©tÃ©", "“Ã©tÃ©”"),
    ],
)
def test_text_decoded_wrongly_is_detected(text):
    assert is_mojibake(text)


@pytest.mark.parametrize(
    "text",
    [
        *("café au lait", "don’t", "São Paulo, Ãbc", "Â quoi bon", "über 5–6 €", "ÀÉÎ", "今日"),
        *("AMANHÃ… às dez.", "Diz “IRMÃ” na capa.", "LÃ\u00a0MERINO", "A última é “MAÇÃ”.", "AMANHÃ—TALVEZ", "« IRMÃ »"),
        *(
            "AMANHÃ–TARDE às dez",
            "MANHÃ’s",
            "«IRMÃ»",
            "»IRMÃ«",
            "NHÃ” ở",
            "ALEMÃ·FRANCESA",
            "CRISTÃ²",
            "ROMÂ\u00adNIA",
            "«\u00a0Ã\u00a0»",
        ),
        *("MAÇÃ (LÃ)", "AVELÃ®", "“HÂLÂ”", "DÜNYÂ…", "ROMÂNIA…", "A letra “Ã” é", "HÀ NỘI…"),
    ],
)
def test_capitals_before_punctuation_are_not_mojibake(text):
    assert not is_mojibake(text)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\u200bb", "ab"),
        ("a\u202eb\u2066", "ab"),
        ("pay\U000e0061load", "payload"),
        ("nul\x00 bell\x07", "nul bell"),
        ("\ufeffstart", "start"),
        ("soft\u00adhyphen", "softhyphen"),
        ("tab\tand\r\nlines", "tab\tand\r\nlines"),
        ("👩\u200d👩\u200d👧 می\u200cخواهم", "👩\u200d👩\u200d👧 می\u200cخواهم"),
        (f"{ENGLAND} won", f"{ENGLAND} won"),
        ("\U0001f3f4" + "\U000e0061" * 20 + "\U000e007f", "\U0001f3f4"),  # longer than a region: hidden text
        ("1\ufe0f\u20e3 ❤\ufe0f\u200d🔥", "1\ufe0f\u20e3 ❤\ufe0f\u200d🔥"),
        ("ខ្ញុំ\u200bចង់", "ខ្ញុំ\u200bចង់"),
        ("ខ្ញុំ\u200b", "ខ្ញុំ"),
        ("ខ\u200b\u200bច", "ខច"),  # a hidden text in zero-width characters
        ("PDF\u200cها ها\u200cPDF", "PDF\u200cها ها\u200cPDF"),
        ("می\u200c a\u200db", "می ab"),
        ("葛\U000e0100", "葛\U000e0100"),
    ],
)
def test_invisible_characters_are_removed_unless_a_script_or_a_flag_needs_them(text, seen):
    assert strip_invisible(text) == seen

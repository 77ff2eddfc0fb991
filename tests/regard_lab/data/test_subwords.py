"""Subwords: every text is known, and decoding restores it."""

from regard_lab.data.subwords import BEGIN, END, PADDING, decode, encode, learn_tokenizer


def test_subwords_give_back_every_text():
    tokenizer = learn_tokenizer(["the file the file menu", "the menu"], 270)
    texts = ["The file, «¿menú?»", "", " two  spaces", "☃"]
    numbers = encode(tokenizer, texts)
    assert decode(tokenizer, numbers) == [text.strip() for text in texts]
    assert all(END < number < 270 for row in numbers for number in row)
    assert len(encode(tokenizer, ["the file"])[0]) < len("the file")
    inside = [BEGIN, *numbers[0], END, *numbers[3], PADDING]
    assert decode(tokenizer, [inside]) == [texts[0]]

"""What a search learnt, written for people and read by the next search."""

from raymimic.advisor.lessons.closing import closing_words
from raymimic.advisor.lessons.reading import parse_lessons, read_lessons, write_lessons_file
from raymimic.advisor.lessons.writing import lessons_text

__all__ = ["closing_words", "lessons_text", "parse_lessons", "read_lessons", "write_lessons_file"]

/*
 * html_strip.h - the words of an HTML text, quickly: for previews on the hot path. For text to
 * read there is ph_html_text (<posthouse/text.h>).
 */
#ifndef PH_TEXT_HTML_STRIP_H
#define PH_TEXT_HTML_STRIP_H
#include <posthouse/base.h>

/* Appends the text of `html` (UTF-8) with tags, comments, scripts, styles and titles left out,
 * the common entities decoded and every tag that ends a word as a space, until about `most`
 * bytes are there, never within a character. Linear in what it reads. */
void ph_html_strip(struct ph_buf *out, ph_str html, size_t most);

#endif

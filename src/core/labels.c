#include "core/labels.h"

#include <string.h>

#include "codec/json.h"

void
labels_add(struct labels *l, struct str label)
{
	uint32_t low = 0, high = l->n;

	if (label.n >= LABEL_BYTES || str_find(label, '\0') != label.n) {
		l->overflowed = true;
		return;
	}
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int order = str_cmp(str_of(l->text[mid]), label);

		if (order == 0)
			return;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (l->n == LABELS_MAX) {
		l->overflowed = true;
		return;
	}
	memmove(
	    l->text[low + 1], l->text[low], (l->n - low) * sizeof(l->text[0]));
	memcpy(l->text[low], label.p, label.n);
	l->text[low][label.n] = '\0';
	l->n++;
}

bool
labels_match(const struct labels *l, struct str pattern)
{
	if (l->overflowed)
		return true;
	for (uint32_t i = 0; i < l->n; i++) {
		if (str_glob(pattern, str_of(l->text[i])))
			return true;
	}
	return false;
}

void
labels_write(struct buf *out, const struct labels *l)
{
	buf_add_byte(out, '[');
	if (l->overflowed)
		buf_add_c(out, l->n > 0 ? "\"*\"," : "\"*\"");
	for (uint32_t i = 0; i < l->n; i++) {
		if (i > 0)
			buf_add_byte(out, ',');
		json_put_str(out, str_of(l->text[i]));
	}
	buf_add_byte(out, ']');
}

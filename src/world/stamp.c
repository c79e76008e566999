#include "world/stamp.h"

#include <stdbool.h>
#include <stdio.h>

enum { DAY_S = 86400, DAYS_PER_ERA = 146097 };

/* 9999-12-31T23:59:59Z */
#define LAST_S INT64_C(253402300799)

static int64_t days_of(int64_t year, int64_t month, int64_t day);
static bool digits(struct str text, size_t at, size_t n, int64_t *out);

int
stamp_parse(struct str text, int64_t *out_s)
{
	static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
	static const int64_t month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31,
		30, 31, 30, 31 };
	int64_t y, mo, d, h, mi, s, last;

	if (text.n != sizeof(form) - 1)
		return -1;
	for (size_t i = 0; i < text.n; i++)
		if (form[i] != 'd' && text.p[i] != form[i])
			return -1;
	if (!digits(text, 0, 4, &y) || !digits(text, 5, 2, &mo) ||
	    !digits(text, 8, 2, &d) || !digits(text, 11, 2, &h) ||
	    !digits(text, 14, 2, &mi) || !digits(text, 17, 2, &s))
		return -1;
	if (y < 1970 || mo < 1 || mo > 12 || h > 23 || mi > 59 || s > 59)
		return -1;
	last = month_days[mo - 1];
	if (mo == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0))
		last = 29;
	if (d < 1 || d > last)
		return -1;
	*out_s = days_of(y, mo, d) * DAY_S + h * 3600 + mi * 60 + s;
	return 0;
}

void
stamp_text(int64_t s, char out[static STAMP_BYTES])
{
	int64_t days, era, doe, yoe, doy, mp, year, month, day;

	if (s < 0)
		s = 0;
	if (s > LAST_S)
		s = LAST_S;
	days = s / DAY_S;
	s %= DAY_S;

	/* Howard Hinnant's civil_from_days: years begin in March, so that
	 * the leap day is the last of its year. */
	days += 719468;
	era = days / DAYS_PER_ERA;
	doe = days % DAYS_PER_ERA;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	day = doy - (153 * mp + 2) / 5 + 1;
	month = mp < 10 ? mp + 3 : mp - 9;
	year = yoe + era * 400 + (month <= 2 ? 1 : 0);
	(void)snprintf(out, STAMP_BYTES, "%04u-%02u-%02uT%02u:%02u:%02uZ",
	    (unsigned)year % 10000, (unsigned)month % 100, (unsigned)day % 100,
	    (unsigned)(s / 3600) % 100, (unsigned)(s / 60 % 60),
	    (unsigned)(s % 60));
}

static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400, yoe = y % 400;
	int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;

	doy += day - 1;
	return era * DAYS_PER_ERA + yoe * 365 + yoe / 4 - yoe / 100 + doy -
	    719468;
}

static bool
digits(struct str text, size_t at, size_t n, int64_t *out)
{
	uint64_t v;

	if (str_to_u64((struct str){ text.p + at, n }, &v) < 0)
		return false;
	*out = (int64_t)v;
	return true;
}

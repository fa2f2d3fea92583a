/* Columns of maps in which rows have anything. */
#ifndef MTAC_SPAN_H
#define MTAC_SPAN_H

#include "attention.h"

/* Columns [begin, end); none where end is not after begin. */
struct span {
  int begin;
  int end;
};

INLINE struct span join_spans(struct span a, struct span b) {
  if (a.begin >= a.end) return b;
  if (b.begin >= b.end) return a;
  return (struct span){least(a.begin, b.begin), most(a.end, b.end)};
}

#endif

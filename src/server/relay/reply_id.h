/* reply_id.h - what a server that took a letter calls it. */
#ifndef PH_REPLY_ID_H
#define PH_REPLY_ID_H
#include <posthouse/base.h>

/* The id in the text of a reply to the end of data, borrowed from it; empty when there is none that
 * is known for one. No standard says where it stands: the forms are those of servers in use. */
ph_str reply_id(ph_str text);
#endif

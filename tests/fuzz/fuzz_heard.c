/* Any bytes as a header and as a reply: what is told of a letter's way keeps within its limits. */
#include "heard.h"
#include "ipc.h"
#include "reply_id.h"
#include "reported.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ph_str in = {(const char *)data, size};
    struct ph_buf rows;
    struct ipc_event e;
    size_t n = 0;
    ph_buf_init(&rows, NULL, 65536);
    heard_write(in, INT64_C(1795000000000000), &rows);
    if (ph_buf_err(&rows))
        abort();
    ph_str left = ph_buf_str(&rows);
    while (ipc_each(event, &left, &e)) {
        n++;
        if (!e.host.n || e.host.n > 255 || e.peer.n > 320 || e.tls.n > 80 || e.note.n > 512)
            abort();
    }
    if (left.n || n > HEARD_MOST)
        abort();
    char about[REPORTED_ID + 1];
    ph_buf_clear(&rows);
    if (reported_read(in, INT64_C(1795000000000000), about, &rows))
        for (left = ph_buf_str(&rows), n = 0; ipc_each(event, &left, &e); n++)
            if (n >= REPORTED_MOST || !e.host.n || e.host.n > 255 || e.peer.n > 320 ||
                e.rcpt.n > 1024 || e.reply.n > 2048 || e.note.n > 512)
                abort();
    ph_str id = reply_id(in);
    if (id.n && (id.p < in.p || id.p + id.n > in.p + in.n))
        abort();
    ph_buf_done(&rows);
    return 0;
}

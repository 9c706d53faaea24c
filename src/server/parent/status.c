/* The answer of `posthouse status`: each process and its counters, as JSON. */
#include "parent_int.h"

#include <inttypes.h>
#include <unistd.h>

static void add_string(struct ph_buf *out, ph_str s)
{
    ph_buf_addc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch == '"' || ch == '\\')
            ph_buf_addf(out, "\\%c", ch);
        else if (ch < 0x20)
            ph_buf_addf(out, "\\u%04x", ch);
        else
            ph_buf_addc(out, (char)ch);
    }
    ph_buf_addc(out, '"');
}

static void add_counters(const struct child *c, struct ph_buf *out)
{
    ph_str rows = ph_buf_str(&c->counters);
    struct ipc_counter one;
    const char *comma = "";
    ph_buf_add(out, PH_STR("{"));
    while (ipc_each(counter, &rows, &one)) {
        ph_buf_add(out, ph_str_c(comma));
        add_string(out, one.name);
        ph_buf_addf(out, ":%" PRIu64, one.value);
        comma = ",";
    }
    ph_buf_add(out, PH_STR("}"));
}

static void add_child(const struct child *c, int64_t now, struct ph_buf *out)
{
    static const char *const states[] = {"down", "starting", "ready", "draining"};
    ph_buf_addf(out, "{\"process\":\"%s\",\"instance\":%u,", ipc_role_name(c->role), c->instance);
    if (c->pid)
        ph_buf_addf(out, "\"pid\":%ld,", (long)c->pid);
    ph_buf_addf(out, "\"state\":\"%s\",\"uptime_ms\":%" PRId64 ",\"restarts\":%u,\"counters\":",
                states[c->state], c->pid ? now - c->since : 0, c->restarts);
    add_counters(c, out);
    ph_buf_addc(out, '}');
}

void status_json(struct parent *p, struct ph_buf *out)
{
    static const char *const phases[] = {"starting", "ready", "stopping"};
    int64_t now = ph_mono_us() / 1000;
    ph_buf_addf(out,
                "{\"pid\":%ld,\"state\":\"%s\",\"uptime_ms\":%" PRId64 ",\"data\":", (long)getpid(),
                phases[p->phase], now - p->started);
    add_string(out, ph_str_c(p->data));
    ph_buf_add(out, PH_STR(",\"hostname\":"));
    add_string(out, p->conf->hostname);
    ph_buf_add(out, PH_STR(",\"listen\":["));
    for (size_t i = 0; i < p->listener_count; i++)
        ph_buf_addf(out, "%s{\"service\":\"%s\",\"address\":\"%s\"}", i ? "," : "",
                    service_name(p->listeners[i].service), p->listeners[i].address);
    ph_buf_add(out, PH_STR("],\"processes\":["));
    for (size_t i = 0; i < p->child_count; i++) {
        ph_buf_add(out, ph_str_c(i ? "," : ""));
        add_child(&p->children[i], now, out);
    }
    ph_buf_add(out, PH_STR("]}"));
}

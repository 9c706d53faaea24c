/* ipc: every message and row by a walk over the table: round trip, every truncation, every maximum,
 * every direction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ipc_int.h"

static char letters[1024];

static bool is_bytes(const struct ipc__field *f)
{
    return f->kind == IPC__str || f->kind == IPC__rows;
}

/* Sets every field to its maximum (strings shortened to `most`) or, with most == 0, to nothing. */
static void fill(struct ipc__fields fields, void *values, size_t most)
{
    for (size_t i = 0; i < fields.n; i++) {
        const struct ipc__field *f = &fields.v[i];
        char *at = (char *)values + f->offset;
        if (is_bytes(f)) {
            ph_str s = {letters, most < f->max ? most : f->max};
            memcpy(at, &s, sizeof s);
            continue;
        }
        uint64_t v = most ? f->kind == IPC__u8 || f->kind == IPC__u32 ? f->max : UINT64_MAX - i : 0;
        uint8_t u8 = (uint8_t)v;
        uint32_t u32 = (uint32_t)v;
        if (f->kind == IPC__u8)
            memcpy(at, &u8, sizeof u8);
        else if (f->kind == IPC__u32)
            memcpy(at, &u32, sizeof u32);
        else
            memcpy(at, &v, sizeof v);
    }
}

static void assert_same(struct ipc__fields fields, const void *a, const void *b)
{
    static const uint8_t widths[] = {[IPC__u8] = 1, [IPC__u32] = 4, [IPC__u64] = 8, [IPC__i64] = 8};
    for (size_t i = 0; i < fields.n; i++) {
        const struct ipc__field *f = &fields.v[i];
        const char *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
        if (is_bytes(f)) {
            ph_str s, t;
            memcpy(&s, x, sizeof s);
            memcpy(&t, y, sizeof t);
            assert_true(ph_str_eq(s, t));
        } else {
            assert_memory_equal(x, y, widths[f->kind]);
        }
    }
}

/* Ends between which a type is allowed. */
static struct ipc_ends ends_of(int type)
{
    for (int to = 0; to < ROLE_COUNT; to++)
        for (int from = 0; from < ROLE_COUNT; from++)
            if (ipc_may_send(type, from, to))
                return (struct ipc_ends){to, from, 0, 0};
    fail_msg("%s goes nowhere", ipc_type_name(type));
    return (struct ipc_ends){0};
}

static int64_t get(ph_str in, int type, struct ipc_msg *msg)
{
    struct ipc_ends ends = ends_of(type);
    bool fd;
    size_t whole;
    const char *why = NULL;
    int64_t n = ipc__frame_get(in, &ends, msg, &fd, &whole, &why);
    assert_true(n >= 0 || why);
    return n;
}

static void put(struct ph_buf *out, int type, size_t most)
{
    struct ipc_msg m = {.type = (enum ipc_type)type};
    ph_buf_clear(out);
    fill(ipc__types[type].fields(), &m.HELLO, most);
    assert_int_equal(ipc__frame_put(out, m.type, &m.HELLO, ipc_type_fd(type) == 2), 0);
}

static void messages_come_back_as_they_went(void **state)
{
    (void)state;
    struct ph_buf out;
    ph_buf_init(&out, NULL, IPC_FRAME_MAX);
    for (int t = 0; t < IPC_TYPE_COUNT; t++) {
        for (size_t most = 0; most < 40; most += 13) {
            struct ipc_msg sent = {0}, got;
            fill(ipc__types[t].fields(), &sent.HELLO, most);
            put(&out, t, most);
            assert_int_equal(get(ph_buf_str(&out), t, &got), out.n);
            assert_int_equal(got.type, t);
            assert_same(ipc__types[t].fields(), &sent.HELLO, &got.HELLO);
        }
    }
    ph_buf_done(&out);
}

static void rows_come_back_as_they_went(void **state)
{
    (void)state;
    union {
        uint64_t align;
        char bytes[512];
    } sent = {0}, got;
    for (int r = 0; r < IPC_ROW_COUNT; r++) {
        struct ph_buf out;
        ph_buf_init(&out, NULL, 65536);
        for (size_t most = 0; most < 3; most++) {
            fill(ipc__rows[r].fields(), &sent, most);
            ipc_row_add(&out, (enum ipc_row)r, &sent);
        }
        assert_int_equal(ph_buf_err(&out), 0);
        ph_str rest = ph_buf_str(&out);
        for (size_t most = 0; most < 3; most++) {
            fill(ipc__rows[r].fields(), &sent, most);
            assert_int_equal(ipc_row_next(&rest, (enum ipc_row)r, &got), 1);
            assert_same(ipc__rows[r].fields(), &sent, &got);
        }
        assert_int_equal(ipc_row_next(&rest, (enum ipc_row)r, &got), 0);
        ph_str cut = ph_str_sub(ph_buf_str(&out), 0, out.n - 1);
        for (int i = 0; i < 2; i++)
            assert_int_equal(ipc_row_next(&cut, (enum ipc_row)r, &got), 1);
        assert_int_equal(ipc_row_next(&cut, (enum ipc_row)r, &got), -PH_ESYNTAX);
        ph_buf_done(&out);
    }
}

static void every_truncation_is_told(void **state)
{
    (void)state;
    struct ph_buf out;
    ph_buf_init(&out, NULL, IPC_FRAME_MAX);
    for (int t = 0; t < IPC_TYPE_COUNT; t++) {
        struct ipc_msg got;
        put(&out, t, 20);
        size_t whole = out.n;
        for (size_t n = 0; n < whole; n++) {
            /* the bytes have not come yet: wait */
            assert_int_equal(get(ph_str_sub(ph_buf_str(&out), 0, n), t, &got), 0);
            if (n < IPC__HEAD)
                continue;
            /* the head says that no more come: broken */
            char *exact = malloc(n);
            memcpy(exact, out.p, n);
            uint32_t rest = (uint32_t)(n - IPC__HEAD);
            memcpy(exact, &(unsigned char[4]){rest & 0xff, rest >> 8 & 0xff, rest >> 16 & 0xff, 0},
                   4);
            assert_int_equal(get((ph_str){exact, n}, t, &got), -PH_ESYNTAX);
            free(exact);
        }
        ph_buf_addc(&out, 'x'); /* one byte behind the last field */
        uint32_t rest = (uint32_t)(out.n - IPC__HEAD);
        memcpy(out.p, &(unsigned char[4]){rest & 0xff, rest >> 8 & 0xff, rest >> 16 & 0xff, 0}, 4);
        assert_int_equal(get(ph_buf_str(&out), t, &got), -PH_ESYNTAX);
    }
    ph_buf_done(&out);
}

static void heads_are_checked(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        unsigned char byte;
    } wrong[] = {{3, 1}, {2, 0x20}, {4, 0xfe}, {5, 1}, {6, 2}, {7, 1}, {8, 1}, {15, 0x80}};
    struct ph_buf out;
    ph_buf_init(&out, NULL, IPC_FRAME_MAX);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct ipc_msg got;
        put(&out, IPC_START, 20);
        out.p[wrong[i].at] = (char)wrong[i].byte;
        assert_int_equal(get(ph_buf_str(&out), IPC_START, &got), -PH_ESYNTAX);
    }
    for (int t = 0; t < IPC_TYPE_COUNT;
         t++) { /* a descriptor flag that the row does not allow, or lacks */
        struct ipc_msg got;
        put(&out, t, 20);
        out.p[6] = ipc_type_fd(t) == 2 ? 0 : 1;
        assert_int_equal(get(ph_buf_str(&out), t, &got),
                         ipc_type_fd(t) == 1 ? (int64_t)out.n : -PH_ESYNTAX);
    }
    ph_buf_done(&out);
}

/* Every type between every two roles: decoded exactly when the matrix says so. */
static void directions_are_checked(void **state)
{
    (void)state;
    struct ph_buf out;
    ph_buf_init(&out, NULL, IPC_FRAME_MAX);
    size_t allowed = 0;
    for (int t = 0; t < IPC_TYPE_COUNT; t++) {
        put(&out, t, 20);
        for (int from = 0; from < ROLE_COUNT; from++) {
            for (int to = 0; to < ROLE_COUNT; to++) {
                struct ipc_ends ends = {to, from, 0, 0};
                struct ipc_msg got;
                bool fd;
                size_t whole;
                const char *why;
                int64_t n = ipc__frame_get(ph_buf_str(&out), &ends, &got, &fd, &whole, &why);
                assert_int_equal(n > 0, ipc_may_send(t, from, to));
                allowed += n > 0;
            }
        }
    }
    assert_true(allowed > 100 && allowed < (size_t)IPC_TYPE_COUNT * ROLE_COUNT * ROLE_COUNT / 2);
    ph_buf_done(&out);
}

static void no_field_passes_its_maximum(void **state)
{
    (void)state;
    char *big = calloc(1, 2u << 20);
    struct ph_buf out;
    ph_buf_init(&out, NULL, 8u << 20);
    for (int t = 0; t < IPC_TYPE_COUNT; t++) {
        struct ipc__fields fields = ipc__types[t].fields();
        for (size_t i = 0; i < fields.n; i++) {
            const struct ipc__field *f = &fields.v[i];
            struct ipc_msg m = {0};
            char *at = (char *)&m.HELLO + f->offset;
            ph_str s = {big, (size_t)f->max + 1};
            uint8_t u8 = (uint8_t)(f->max + 1);
            if (is_bytes(f))
                memcpy(at, &s, sizeof s);
            else if (f->kind == IPC__u8 && f->max < 255)
                memcpy(at, &u8, sizeof u8);
            else
                continue;
            assert_int_equal(ipc__frame_put(&out, (enum ipc_type)t, &m.HELLO, false), -PH_ELIMIT);
            assert_int_equal(out.n, 0);
        }
    }
    ph_buf_done(&out);
    free(big);
}

/* The rules that the whole house rests on; a change of the table that breaks one is a mistake. */
static void the_matrix_keeps_the_walls(void **state)
{
    (void)state;
    assert_false(ipc_may_talk(ROLE_MX, ROLE_STORE));
    assert_false(ipc_may_talk(ROLE_MX, ROLE_ACCESS));
    assert_false(ipc_may_talk(ROLE_MX, ROLE_RELAY));
    assert_false(ipc_may_talk(ROLE_RELAY, ROLE_STORE));
    assert_false(ipc_may_talk(ROLE_RELAY, ROLE_ACCESS));
    assert_false(ipc_may_talk(ROLE_RESOLVER, ROLE_STORE));
    assert_false(ipc_may_talk(ROLE_RESOLVER, ROLE_KEEPER));
    assert_true(ipc_may_talk(ROLE_CONTROL, ROLE_PARENT));
    for (int role = 0; role < ROLE_COUNT; role++) {
        assert_true(role == ROLE_PARENT || !ipc_may_talk(ROLE_CONTROL, role));
        assert_int_equal(ipc_may_send(IPC_GRANT, role, ROLE_STORE), role == ROLE_KEEPER);
        assert_int_equal(ipc_may_send(IPC_DELIVER, role, ROLE_STORE), role == ROLE_QUEUE);
        assert_int_equal(ipc_may_send(IPC_KEY, role, ROLE_KEEPER), role == ROLE_PARENT);
        for (int to = 0; to < ROLE_COUNT; to++)
            assert_true(!ipc_may_send(IPC_KEY, role, to) || to == ROLE_KEEPER);
    }
    assert_string_equal(ipc_role_name(ROLE_MX), "mx");
    assert_string_equal(ipc_role_name(99), "?");
    assert_string_equal(ipc_type_name(IPC_DELIVER), "DELIVER");
    assert_true(ipc_table_hash() != 0);
}

int main(void)
{
    memset(letters, 'a', sizeof letters);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back_as_they_went),
        cmocka_unit_test(rows_come_back_as_they_went),
        cmocka_unit_test(every_truncation_is_told),
        cmocka_unit_test(heads_are_checked),
        cmocka_unit_test(directions_are_checked),
        cmocka_unit_test(no_field_passes_its_maximum),
        cmocka_unit_test(the_matrix_keeps_the_walls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

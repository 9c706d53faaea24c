/* house: names, accounts, aliases and where they lead, passwords, two programs at the same file,
 * damaged files. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "house.h"
#include <sqlite3.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

struct fixture {
    char dir[64], path[96];
    struct ph_house *h;
    struct ph_arena *arena;
};

static int up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/house-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/house.sqlite", f->dir);
    f->arena = ph_arena_new(NULL, 4 << 20);
    struct ph_error e = {0};
    assert_int_equal(ph_house_open(f->path, true, &f->h, &e), 0);
    *state = f;
    return 0;
}

static int down(void **state)
{
    struct fixture *f = *state;
    char name[128];
    ph_house_close(f->h);
    ph_arena_free(f->arena);
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < COUNT(ends); i++) {
        snprintf(name, sizeof name, "%s%s", f->path, ends[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; /* out NULL: refused */
    } rows[] = {
        {"Alice@Example.ORG", "alice@example.org"},
        {"bounces+1234567-89ab-some.body=a.longer.name.example@bulk.mail.a-sender-of-newsletters."
         "test",
         "bounces+1234567-89ab-some.body=a.longer.name.example@bulk.mail.a-sender-of-newsletters."
         "test"},
        {"msprvs1=19876abcdef=bounces-987654-somebody.with.a.name=receiver.example@x.test",
         "msprvs1=19876abcdef=bounces-987654-somebody.with.a.name=receiver.example@x.test"},
        {"a.b+tag@x.test.", "a.b+tag@x.test"},
        {"\"Alice\"@x.test", "alice@x.test"},
        {"\"a\\lice\"@x.test", "alice@x.test"},
        {"\"John Doe\"@x.test", "\"john doe\"@x.test"},
        {"\"a\\\"b\"@x.test", "\"a\\\"b\"@x.test"},
        {"\"a@b\"@x.test", "\"a@b\"@x.test"},
        {"\xc3\xa4@b\xc3\xbc"
         "cher.test",
         "\xc3\xa4@xn--bcher-kva.test"},
        {"a@B\xc3\x9c"
         "CHER.test",
         "a@xn--bcher-kva.test"},
        {"a@XN--BCHER-KVA.test", "a@xn--bcher-kva.test"},
        {"a@[192.0.2.1]", "a@[192.0.2.1]"},
        {"a@_x.test", "a@_x.test"},
        {"", NULL},
        {"alice", NULL},
        {"@x.test", NULL},
        {"alice@", NULL},
        {"a b@x.test", NULL},
        {"a\x01"
         "b@x.test",
         NULL},
        {"\"ab@x.test", NULL},
        {"\"ab\\\"@x.test", NULL},
        {"\xff@x.test", NULL},
        {"\xc0\xaf@x.test", NULL},
        {"a@-x.test", NULL},
        {"a@x..test", NULL},
        {"a@.", NULL},
        {"a@x y", NULL},
        {"a@[]", NULL},
        {"a@[1 2]", NULL},
        {"a@\xff\xfe", NULL},
#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        {A64 A64 A64 A64 "@x.test", NULL},
#undef A64
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct ph_house_name name;
        struct ph_error e = {0};
        int r = ph_house_name(ph_str_c(rows[i].in), &name, &e);
        if (!rows[i].out) {
            assert_int_equal(r, -PH_EINVAL);
            assert_true(e.text[0]);
            continue;
        }
        assert_int_equal(r, 0);
        assert_string_equal(name.text, rows[i].out);
        assert_int_equal(name.n, strlen(name.text));
        assert_int_equal(name.text[name.at], '@');
    }
}

static uint64_t account(struct fixture *f, const char *address)
{
    uint64_t id = 0;
    struct ph_error e = {0};
    assert_int_equal(ph_house_account_add(f->h, ph_str_c(address),
                                          &(struct ph_house_secret){.hash = PH_STR("$y$x")}, &id,
                                          &e),
                     0);
    assert_true(id > 0);
    return id;
}

static void alias(struct fixture *f, const char *from, const char *to)
{
    assert_int_equal(ph_house_alias_add(f->h, ph_str_c(from), ph_str_c(to), NULL), 0);
}

static int count_accounts(void *ctx, const struct ph_house_account *row)
{
    assert_null(memchr(row->folder.p, '/', row->folder.n));
    assert_true(row->folder.n && row->folder.p[0] != '.');
    ++*(int *)ctx;
    return 0;
}

static int last_gone(void *ctx, const struct ph_house_gone *row)
{
    assert_true(row->erase && ph_str_eq(row->folder, PH_STR("alice@x.test")));
    *(uint64_t *)ctx += row->seq;
    return 0;
}

static void accounts(void **state)
{
    struct fixture *f = *state;
    struct ph_house_account a, b;
    uint64_t id;
    assert_int_equal(ph_house_account_add(f->h, PH_STR("a@x.test"),
                                          &(struct ph_house_secret){.hash = PH_STR("h")}, &id,
                                          NULL),
                     -PH_ENOENT);
    assert_int_equal(ph_house_domain_add(f->h, PH_STR("X.test"), NULL), 0);
    assert_int_equal(ph_house_domain_add(f->h, PH_STR("x.TEST."), NULL), -PH_EEXIST);
    uint64_t first = account(f, "Alice@x.test");
    assert_int_equal(ph_house_account_add(f->h, PH_STR("aLICE@X.test"),
                                          &(struct ph_house_secret){.hash = PH_STR("h")}, &id,
                                          NULL),
                     -PH_EEXIST);
    assert_int_equal(ph_house_account_get(f->h, PH_STR("ALICE@x.test"), f->arena, &a, NULL), 0);
    assert_true(a.id == first && ph_str_eq(a.folder, PH_STR("alice@x.test")) && a.created > 0);
    assert_int_equal(ph_house_account_passwd(f->h, PH_STR("alice@x.test"),
                                             &(struct ph_house_secret){.hash = PH_STR("other")},
                                             NULL),
                     0);
    assert_int_equal(ph_house_account_by_id(f->h, first, f->arena, &a, NULL), 0);
    assert_true(ph_str_eq(a.hash, PH_STR("other")));
    assert_int_equal(ph_house_account_passwd(f->h, PH_STR("bob@x.test"),
                                             &(struct ph_house_secret){.hash = PH_STR("other")},
                                             NULL),
                     -PH_ENOENT);
    /* Names that a folder may not have, and that become equal as folders. */
    account(f, "../../x@x.test");
    account(f, "\"a b\"@x.test");
    account(f, "\"a:b\"@x.test");
    account(f, "-rf@x.test");
    int n = 0;
    assert_int_equal(ph_house_accounts(f->h, count_accounts, &n, NULL), 0);
    assert_int_equal(n, 5);
    assert_int_equal(ph_house_domain_remove(f->h, PH_STR("x.test"), NULL), -PH_EINUSE);
    assert_int_equal(ph_house_domain_remove(f->h, PH_STR("y.test"), NULL), -PH_ENOENT);
    /* A new account of an old name gets neither the id nor the folder of the old one. */
    assert_int_equal(ph_house_account_remove(f->h, PH_STR("alice@x.test"), true, NULL), 0);
    assert_int_equal(ph_house_account_remove(f->h, PH_STR("alice@x.test"), true, NULL), -PH_ENOENT);
    account(f, "alice@x.test");
    assert_int_equal(ph_house_account_get(f->h, PH_STR("alice@x.test"), f->arena, &b, NULL), 0);
    assert_true(b.id > a.id && !ph_str_eq(a.folder, b.folder));
    uint64_t seq = 0;
    assert_int_equal(ph_house_removed(f->h, 0, last_gone, &seq, NULL), 0);
    assert_int_equal(seq, 1);
    assert_int_equal(ph_house_removed(f->h, 1, last_gone, &seq, NULL), 0);
    assert_int_equal(seq, 1);
}

/* "local:address remote:address ..." of where an address leads. */
static const char *lead(struct fixture *f, const char *address, const char *postmaster)
{
    static const char *const kinds[] = {"", "NOUSER", "FOREIGN ", "TANGLED"};
    struct ph_house_route route;
    struct ph_buf b;
    ph_buf_init(&b, NULL, 1 << 20);
    int r = ph_house_route(f->h, ph_str_c(address), ph_str_c(postmaster), f->arena, &route, NULL);
    if (r < 0) {
        ph_buf_addf(&b, "%s", ph_error_info(r)->name);
    } else {
        ph_buf_add(&b, ph_str_c(kinds[route.kind]));
        for (size_t i = 0; route.kind != PH_HOUSE_TANGLED && i < route.count; i++)
            ph_buf_addf(&b, "%s%s:%.*s%s%.*s", i ? " " : "",
                        route.targets[i].folder.n ? "local" : "remote",
                        PH_FMT(route.targets[i].address), route.targets[i].mailbox.n ? "/" : "",
                        PH_FMT(route.targets[i].mailbox));
    }
    const char *text = ph_arena_cstr(f->arena, ph_buf_str(&b));
    ph_buf_done(&b);
    return text;
}

static void routes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ph_house_domain_add(f->h, PH_STR("x.test"), NULL), 0);
    assert_int_equal(ph_house_domain_add(f->h, PH_STR("y.test"), NULL), 0);
    assert_string_equal(lead(f, "postmaster@x.test", ""), "NOUSER");
    account(f, "alice@x.test");
    account(f, "bob@x.test");
    alias(f, "all@x.test", "alice@x.test");
    alias(f, "all@x.test", "bob@x.test");
    alias(f, "all@x.test", "Carol.C@z.test");
    alias(f, "loop1@x.test", "loop2@x.test");
    alias(f, "loop2@x.test", "loop1@x.test");
    alias(f, "nested@y.test", "all@x.test");
    alias(f, "nested@y.test", "bob@x.test");
    alias(f, "copy@x.test", "copy@x.test");
    alias(f, "void@x.test", "nobody@x.test");
    alias(f, "@y.test", "bob@x.test");
    assert_int_equal(ph_house_alias_add(f->h, PH_STR("all@x.test"), PH_STR("BOB@x.test"), NULL), 0);
    assert_int_equal(ph_house_alias_remove(f->h, PH_STR("all@x.test"), PH_STR("bob@x.test"), NULL),
                     0);
    assert_int_equal(ph_house_alias_remove(f->h, PH_STR("all@x.test"), PH_STR("bob@x.test"), NULL),
                     -PH_ENOENT);
    alias(f, "all@x.test", "bob@x.test");
    assert_int_equal(ph_house_alias_add(f->h, PH_STR("all@x.test"), PH_STR("bob@x.test"), NULL),
                     -PH_EEXIST);
    static const char *const same[][2] = {{"w.test", "@x.test"},
                                          {"one.test", "@two.test"},
                                          {"two.test", "@one.test"},
                                          {"out.test", "@z.test"}};
    for (size_t i = 0; i < COUNT(same); i++) {
        char from[64];
        snprintf(from, sizeof from, "@%s", same[i][0]);
        assert_int_equal(ph_house_domain_add(f->h, ph_str_c(same[i][0]), NULL), 0);
        alias(f, from, same[i][1]);
    }
    assert_int_equal(ph_house_alias_add(f->h, PH_STR("a@x.test"), PH_STR("@w.test"), NULL),
                     -PH_EINVAL);
    static const struct {
        const char *address, *leads;
    } rows[] = {
        {"alice@x.test", "local:alice@x.test"},
        {"ALICE@X.TEST", "local:alice@x.test"},
        {"Alice+News@x.test", "local:alice@x.test/News"},
        {"all+tag@x.test", "remote:Carol.C@z.test local:alice@x.test/tag local:bob@x.test/tag"},
        {"nobody@x.test", "NOUSER"},
        {"+tag@x.test", "NOUSER"},
        {"Some.One@Z.test", "FOREIGN remote:Some.One@z.test"},
        {"loop1@x.test", "NOUSER"},
        {"void@x.test", "NOUSER"},
        {"copy@x.test", "NOUSER"},
        {"nested@y.test", "local:bob@x.test remote:Carol.C@z.test local:alice@x.test"},
        {"anyone@y.test", "local:bob@x.test"},
        {"postmaster@x.test", "local:alice@x.test"},
        {"Postmaster@y.test", "local:alice@x.test"},
        {"postmaster", "local:alice@x.test"},
        {"postmaster@z.test", "FOREIGN remote:postmaster@z.test"},
        {"no address", "PH_EINVAL"},
        {"alice@w.test", "local:alice@x.test"},
        {"Alice+Lists@w.test", "local:alice@x.test/Lists"},
        {"all@w.test", "remote:Carol.C@z.test local:alice@x.test local:bob@x.test"},
        {"nobody@w.test", "NOUSER"},
        {"alice@one.test", "NOUSER"},
        {"Alice@out.test", "remote:Alice@z.test"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_string_equal(lead(f, rows[i].address, ""), rows[i].leads);
    assert_string_equal(lead(f, "postmaster@x.test", "bob@x.test"), "local:bob@x.test");
    struct ph_house_account bob;
    assert_int_equal(ph_house_account_get(f->h, PH_STR("bob@x.test"), f->arena, &bob, NULL), 0);
    static const struct {
        const char *address;
        int may;
    } senders[] = {
        {"bob@x.test", 1}, {"Bob+x@x.test", 1},  {"all@x.test", 1}, {"alice@x.test", 0},
        {"bob@z.test", 0}, {"nobody@x.test", 0}, {"", 0},           {"nested@y.test", 1}};
    for (size_t i = 0; i < COUNT(senders); i++)
        assert_int_equal(ph_house_may_send_as(f->h, bob.id, ph_str_c(senders[i].address),
                                              (ph_str){0}, f->arena, NULL),
                         senders[i].may);
}

static void many_targets_are_tangled(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ph_house_domain_add(f->h, PH_STR("x.test"), NULL), 0);
    assert_int_equal(ph_house_begin(f->h, NULL), 0);
    for (int i = 0; i <= PH_HOUSE_TARGETS; i++) {
        char to[64];
        snprintf(to, sizeof to, "r%d@z.test", i);
        alias(f, "list@x.test", to);
    }
    assert_int_equal(ph_house_commit(f->h, NULL), 0);
    assert_string_equal(lead(f, "list@x.test", ""), "TANGLED");
}

static void changes_are_seen(void **state)
{
    struct fixture *f = *state;
    struct ph_house *other;
    assert_int_equal(ph_house_open(f->path, false, &other, NULL), 0);
    assert_int_equal(ph_house_changed(other, NULL), 1);
    assert_int_equal(ph_house_changed(other, NULL), 0);
    assert_int_equal(ph_house_domain_add(f->h, PH_STR("x.test"), NULL), 0);
    assert_int_equal(ph_house_changed(other, NULL), 1);
    assert_int_equal(ph_house_changed(other, NULL), 0);
    assert_int_equal(ph_house_domain_has(other, PH_STR("x.test"), NULL), 1);
    assert_int_equal(ph_house_begin(f->h, NULL), 0);
    assert_int_equal(ph_house_domain_add(f->h, PH_STR("y.test"), NULL), 0);
    ph_house_abort(f->h);
    assert_int_equal(ph_house_domain_has(other, PH_STR("y.test"), NULL), 0);
    ph_house_close(other);
}

static void passwords(void **state)
{
    (void)state;
    char hash[PH_HASH_MAX], again[PH_HASH_MAX], password[24], longest[PH_PASSWORD_MAX + 1];
    assert_int_equal(ph_password_generate(password), 0);
    assert_int_equal(strlen(password), 23);
    assert_int_equal(ph_password_hash(ph_str_c(password), hash, NULL), 0);
    assert_int_equal(ph_password_hash(ph_str_c(password), again, NULL), 0);
    assert_true(!strncmp(hash, "$y$", 3) && strcmp(hash, again));
    assert_int_equal(ph_password_check(ph_str_c(password), ph_str_c(hash)), 1);
    assert_int_equal(ph_password_check(PH_STR("wrong"), ph_str_c(hash)), 0);
    assert_int_equal(ph_password_check(PH_STR(""), ph_str_c(hash)), 0);
    assert_int_equal(ph_password_check(PH_STR("x"), PH_STR("")), 0);
    assert_int_equal(ph_password_check(PH_STR("x"), PH_STR("*")), 0);
    assert_int_equal(ph_password_check(PH_STR("x"), PH_STR("x")), 0);
    /* As another server wrote it: SHA-512. */
    assert_int_equal(
        ph_password_check(PH_STR("Hello world!"),
                          PH_STR("$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnI"
                                 "FNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1")),
        1);
    memset(longest, 'x', sizeof longest);
    assert_int_equal(ph_password_hash((ph_str){longest, sizeof longest}, hash, NULL), -PH_EINVAL);
    assert_int_equal(ph_password_hash(PH_STR("a\0b"), hash, NULL), -PH_EINVAL);
}

static void write_file(const char *path, const char *bytes, size_t n)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(out);
}

static void bad_files(void **state)
{
    struct fixture *f = *state;
    struct ph_house *h;
    struct ph_error e = {0};
    char path[128], junk[4096];
    snprintf(path, sizeof path, "%s/missing/house.sqlite", f->dir);
    assert_int_equal(ph_house_open(path, false, &h, &e), -PH_ENOENT);
    assert_int_equal(ph_house_open(path, true, &h, &e), -PH_EIO);
    assert_non_null(strstr(e.text, path));
    snprintf(path, sizeof path, "%s/other.sqlite", f->dir);
    memset(junk, 'j', sizeof junk);
    write_file(path, junk, sizeof junk);
    assert_int_equal(ph_house_open(path, true, &h, &e), -PH_ECORRUPT);
    assert_int_equal(ph_house_exit_code(&e), 65);
    assert_non_null(strstr(e.text, path));
    unlink(path);
    static const struct {
        const char *sql;
        int code, exit;
    } rows[] = {
        {"CREATE TABLE t(x)", PH_ECORRUPT, 65},
        {"PRAGMA application_id = 1346922611; PRAGMA user_version = 99", PH_EINVAL, 78},
        {"PRAGMA application_id = 7", PH_ECORRUPT, 65},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        sqlite3 *db;
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, rows[i].sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        assert_int_equal(ph_house_open(path, true, &h, &e), -rows[i].code);
        assert_int_equal(ph_house_exit_code(&e), rows[i].exit);
        assert_non_null(strstr(e.text, path));
        unlink(path);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test_setup_teardown(accounts, up, down),
        cmocka_unit_test_setup_teardown(routes, up, down),
        cmocka_unit_test_setup_teardown(many_targets_are_tangled, up, down),
        cmocka_unit_test_setup_teardown(changes_are_seen, up, down),
        cmocka_unit_test(passwords),
        cmocka_unit_test_setup_teardown(bad_files, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

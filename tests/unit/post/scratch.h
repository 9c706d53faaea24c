/* scratch.h - a folder for the time of a test program, and files in it. */
#ifndef SCRATCH_H
#define SCRATCH_H
static char dir[64];

static int make(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/ph-post-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    setenv("POST_CONFIG", "/nonexistent/post.conf", 1);
    setenv("TZ", "UTC", 1);
    static const char *const names[] = {"POST_SERVER", "POST_PORT",     "POST_TLS",
                                        "POST_USER",   "POST_PASSWORD", "POST_FROM"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    return 0;
}

static int drop(void **state)
{
    char cmd[80];
    (void)state;
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

static const char *below(const char *name)
{
    static char paths[4][128];
    static int at;
    at = (at + 1) % 4;
    snprintf(paths[at], sizeof paths[at], "%s/%s", dir, name);
    return paths[at];
}

static void put(const char *name, const char *content)
{
    struct ph_error e;
    assert_int_equal(ph_file_write(below(name), ph_str_c(content), 0600, &e), 0);
}

static void slurp(const char *name, char *to, size_t max)
{
    FILE *f = fopen(below(name), "r");
    assert_non_null(f);
    to[fread(to, 1, max - 1, f)] = '\0';
    fclose(f);
}
#endif

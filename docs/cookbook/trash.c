/* trash HOST PORT USER PASSWORD UIDS: moves letters from the inbox to the trash. */
#include <posthouse/fetch.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct ph_account at = {.struct_size = sizeof at, .tls = PH_TLS_ON};
    struct ph_imap_session *s = NULL;
    struct ph_trouble t;
    struct ph_buf trash;
    if (argc != 6)
        return 64;
    at.host = ph_str_c(argv[1]), at.port = (unsigned)atoi(argv[2]);
    at.user = ph_str_c(argv[3]), at.password = ph_str_c(argv[4]);
    ph_buf_init(&trash, NULL, 1000);
    if (ph_imap_open(&at, &s, &t) < 0 || ph_imap_select(s, PH_STR("INBOX"), false, &t) < 0 ||
        ph_imap_find_special(s, PH_IMAP_MB_TRASH, &trash, &t) < 0 ||
        ph_imap_move(s, ph_str_c(argv[5]), ph_buf_str(&trash), &t) < 0)
        return fprintf(stderr, "%s\n  %s\n", t.error.text, t.remedy) != 0;
    printf("moved to %.*s\n", PH_FMT(ph_buf_str(&trash)));
    ph_buf_done(&trash);
    return ph_imap_close(s) != NULL;
}

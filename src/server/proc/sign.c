/* Private-key operations of the network processes: asked of keeper, over a channel of their own,
 * and waited for. */
#include "proc_int.h"

#include <string.h>
#include <unistd.h>

enum { SIGN_WAIT_MS = 5000, SIGNED_MAX = 8192 };

void proc__signer_set(struct proc *p, int fd)
{
    if (p->priv->signer_fd >= 0)
        close(p->priv->signer_fd);
    p->priv->signer_fd = fd;
}

static void ask_anew(struct proc *p)
{
    if (ipc_send(p->priv->parent, BROKEN, -1, ROLE_KEEPER, 0, PH_STR("no signature in time")))
        ph_log(PH_LOG_ERROR, (ph_str){0}, "parent-deaf", "");
}

int proc_sign(struct proc *p, ph_str key, uint32_t scheme, ph_str digest, unsigned char *sig,
              size_t max)
{
    static uint64_t last;
    struct ipc_ends ends = {p->def->role, ROLE_KEEPER, p->instance, 0};
    struct ipc_SIGN ask = {++last, key, scheme, digest};
    struct ipc_msg msg;
    if (p->priv->signer_fd < 0)
        return -PH_EAGAIN;
    p->priv->signer_buf.max = SIGNED_MAX;
    int r = ipc_call(p->priv->signer_fd, &ends, IPC_SIGN, &ask, &p->priv->signer_buf, &msg,
                     SIGN_WAIT_MS);
    if (r || msg.type != IPC_SIGNED || msg.SIGNED.req != ask.req) {
        proc__signer_set(p, -1);
        /* a keeper that died brings a new channel; one that was slow does not */
        if (r != -PH_ECLOSED)
            ask_anew(p);
        return -PH_EAGAIN;
    }
    if (msg.SIGNED.verdict != IPC_OK || msg.SIGNED.signature.n > max)
        return -PH_EDENIED;
    if (msg.SIGNED.signature.n)
        memcpy(sig, msg.SIGNED.signature.p, msg.SIGNED.signature.n);
    return (int)msg.SIGNED.signature.n;
}

static int sign(void *ctx, ph_str key, uint32_t scheme, ph_str digest, unsigned char *sig,
                size_t max)
{
    return proc_sign(ctx, key, scheme, digest, sig, max);
}

void proc__cert_add(struct proc *p, ph_str name, ph_str chain, struct ph_error *reterr,
                    int *ret_result)
{
    *ret_result = 0;
    if (p->def->role != ROLE_MX && p->def->role != ROLE_ACCESS)
        return;
    p->priv->signer = (struct ph_tls_signer){sign, p, ph_tls_remote_key};
    if (!p->tls_server)
        p->tls_server = ph_tls_server_ctx(reterr);
    *ret_result = p->tls_server ? ph_tls_add_cert(p->tls_server, name, chain, (ph_str){0},
                                                  &p->priv->signer, reterr)
                                : -PH_ETLS;
}

// imapflow and nodemailer, from npm.
import { ImapFlow } from 'imapflow';
import nodemailer from 'nodemailer';
const [host, user, pass] = process.argv.slice(2), tls = { rejectUnauthorized: false };
const post = nodemailer.createTransport({ host, port: 2587, requireTLS: true, auth: { user, pass }, tls });
for (const n of [1, 2, 3])
  await post.sendMail({ from: user, to: user, subject: n === 2 ? 'Grüße 你好' : `letter ${n}`, text: 'x', attachments: n === 2 ? [{ filename: 'ä.txt', content: 'y' }] : [] });
post.close();
const client = new ImapFlow({ host, port: 2993, secure: true, auth: { user, pass }, tls, logger: false, qresync: true });
await client.connect();
for (let i = 0; i < 100 && (await client.status('INBOX', { messages: true })).messages < 3; i++) await new Promise(done => setTimeout(done, 50));
await client.mailboxCreate('Kopien é');
const lock = await client.getMailboxLock('INBOX');
console.log('messages', client.mailbox.exists);
const found = await client.search({ subject: '你好' });
const letter = await client.fetchOne(String(found[0]), { envelope: true, bodyStructure: true });
console.log('subject', letter.envelope.subject, letter.bodyStructure.childNodes.length);
await client.messageFlagsAdd('1:2', ['\\Flagged', '$Work']);
console.log('copied', (await client.messageCopy('1:2', 'Kopien é')).uidMap.size, (await client.search({ keyword: '$Work' })).length);
await client.messageMove('1', 'Kopien é');
await client.messageDelete('1:*');
lock.release();
console.log('left', (await client.status('INBOX', { messages: true })).messages, (await client.status('Kopien é', { messages: true })).messages);
await client.mailboxDelete('Kopien é');
await client.logout();

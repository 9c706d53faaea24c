/* JavaMail, from libmail-java. */
import java.util.Arrays;
import java.util.Properties;
import javax.mail.*;
import javax.mail.internet.*;
import javax.mail.search.SubjectTerm;

class Day {
    public static void main(String[] word) throws Exception {
        String host = word[0], user = word[1], pass = word[2];
        Properties p = new Properties();
        for (String kind : new String[] {"imaps", "smtp"}) {
            p.put("mail." + kind + ".ssl.trust", "*");
            p.put("mail." + kind + ".ssl.checkserveridentity", "false");
        }
        p.put("mail.smtp.starttls.required", "true");
        p.put("mail.smtp.auth", "true");
        p.put("mail.imaps.statuscachetimeout", "0");
        Session session = Session.getInstance(p);
        Transport post = session.getTransport("smtp");
        post.connect(host, 2587, user, pass);
        for (int n = 1; n <= 3; n++) {
            MimeMessage m = new MimeMessage(session);
            m.setFrom(user);
            m.setRecipients(Message.RecipientType.TO, user);
            m.setSubject(n == 2 ? "Gr\u00fc\u00dfe \u4f60\u597d" : "letter " + n, "UTF-8");
            MimeMultipart parts = new MimeMultipart();
            MimeBodyPart text = new MimeBodyPart(), file = new MimeBodyPart();
            text.setText("x");
            file.setText("y");
            file.setFileName("a.txt");
            parts.addBodyPart(text);
            parts.addBodyPart(file);
            m.setContent(parts);
            m.saveChanges();
            post.sendMessage(m, m.getAllRecipients());
        }
        post.close();
        Store store = session.getStore("imaps");
        store.connect(host, 2993, user, pass);
        Folder inbox = store.getFolder("INBOX"), copies = store.getFolder("Kopien \u00e9");
        copies.create(Folder.HOLDS_MESSAGES);
        inbox.open(Folder.READ_WRITE);
        for (int i = 0; i < 100 && inbox.getMessageCount() < 3; i++)
            Thread.sleep(50);
        System.out.println("messages " + inbox.getMessageCount());
        Message letter = null; /* by itself: it asks for SUBJECT in Latin-1 where UTF8=ACCEPT is on */
        for (Message m : inbox.getMessages())
            if (m.getSubject().startsWith("Gr"))
                letter = m;
        System.out.println("subject " + letter.getSubject() + " " + ((Multipart) letter.getContent()).getCount());
        Message[] two = inbox.getMessages(1, 2);
        inbox.setFlags(two, new Flags("$Work"), true);
        inbox.copyMessages(two, copies);
        System.out.println("copied " + copies.getMessageCount() + " " + inbox.search(new javax.mail.search.FlagTerm(new Flags("$Work"), true)).length);
        ((com.sun.mail.imap.IMAPFolder) inbox).moveMessages(inbox.getMessages(1, 1), copies);
        inbox.setFlags(inbox.getMessages(), new Flags(Flags.Flag.DELETED), true);
        inbox.expunge();
        System.out.println("left " + inbox.getMessageCount() + " " + copies.getMessageCount());
        inbox.close(true);
        copies.delete(true);
        store.close();
    }
}

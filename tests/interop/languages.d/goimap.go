// net/smtp, and go-imap of golang-github-emersion-go-imap-dev.
package main

import (
	"crypto/tls"
	"fmt"
	"log"
	"net/smtp"
	"os"
	"time"

	"github.com/emersion/go-imap"
	"github.com/emersion/go-imap/client"
	"github.com/emersion/go-imap/commands"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func count(c *client.Client, box string) uint32 {
	s, err := c.Status(box, []imap.StatusItem{imap.StatusMessages})
	must(err)
	return s.Messages
}

func send(host, user, pass string, anyone *tls.Config) {
	s, err := smtp.Dial(host + ":2587")
	must(err)
	must(s.StartTLS(anyone))
	must(s.Auth(smtp.PlainAuth("", user, pass, host)))
	for n := 1; n <= 3; n++ {
		subject := fmt.Sprintf("letter %d", n)
		if n == 2 {
			subject = "=?utf-8?B?R3LDvMOfZSDkvaDlpb0=?="
		}
		must(s.Mail(user))
		must(s.Rcpt(user))
		w, err := s.Data()
		must(err)
		fmt.Fprintf(w, "From: %s\r\nTo: %s\r\nSubject: %s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"+
			"--b\r\n\r\nx\r\n--b\r\nContent-Disposition: attachment\r\n\r\ny\r\n--b--\r\n", user, user, subject)
		must(w.Close())
	}
	must(s.Quit())
}

func main() {
	host, user, pass := os.Args[1], os.Args[2], os.Args[3]
	anyone := &tls.Config{InsecureSkipVerify: true}
	send(host, user, pass, anyone)
	c, err := client.DialTLS(host+":2993", anyone)
	must(err)
	must(c.Login(user, pass))
	copies := "Kopien é"
	must(c.Create(copies))
	for i := 0; i < 100 && count(c, "INBOX") < 3; i++ {
		time.Sleep(50 * time.Millisecond)
	}
	box, err := c.Select("INBOX", false)
	must(err)
	fmt.Println("messages", box.Messages)
	by := imap.NewSearchCriteria()
	by.Header.Add("Subject", "你好")
	found, err := c.Search(by)
	must(err)
	set, letters := new(imap.SeqSet), make(chan *imap.Message, 9)
	set.AddNum(found...)
	must(c.Fetch(set, []imap.FetchItem{imap.FetchEnvelope, imap.FetchBodyStructure}, letters))
	letter := <-letters
	fmt.Println("subject", letter.Envelope.Subject, len(letter.BodyStructure.Parts))
	two, first, rest := new(imap.SeqSet), new(imap.SeqSet), new(imap.SeqSet)
	two.AddRange(1, 2)
	first.AddNum(1)
	rest.AddRange(1, 0)
	must(c.Store(two, imap.FormatFlagsOp(imap.AddFlags, true), []interface{}{"$Work"}, nil))
	must(c.Copy(two, copies))
	work := imap.NewSearchCriteria()
	work.WithFlags = []string{"$Work"}
	found, err = c.Search(work)
	must(err)
	fmt.Println("copied", count(c, copies), len(found))
	status, err := c.Execute(&commands.Move{SeqSet: first, Mailbox: copies}, nil)
	must(err)
	must(status.Err())
	must(c.Store(rest, imap.FormatFlagsOp(imap.AddFlags, true), []interface{}{imap.DeletedFlag}, nil))
	must(c.Expunge(nil))
	fmt.Println("left", count(c, "INBOX"), count(c, copies))
	must(c.Delete(copies))
	must(c.Logout())
}

// Command oracle opens, seals and reads letters of the bus, and verifies the statements of a transaction, with Go's standard
// library alone, from services/nrmbus/wire/README.md.
// It reads one JSON object from standard input ("do": "open" or "seal") and writes one to standard output.
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
)

// Place is the event that a letter belongs to.
type Place struct {
	Bus     string `json:"bus"`
	Source  string `json:"source"`
	ID      string `json:"id"`
	Subject string `json:"subject"`
}

// Wrap and Part of a letter. Of a part or wrap that is hidden in a copy, only Digest is there. Raw are the bytes of a wrap
// that are hashed, as they stand in the container.
type Wrap struct {
	Digest  []byte
	To, Kid string
	W, Raw  []byte
}

type Part struct {
	Digest         []byte
	Name           string
	Iv, Commit, Ct []byte
	Wraps          []Wrap
}

type Container struct{ Parts []Part }

type Request struct {
	Do        string                     `json:"do"` // open, seal, read or prove
	Place     Place                      `json:"place"`
	Seed      []byte                     `json:"seed"`      // open
	To        string                     `json:"to"`        // open
	Container []byte                     `json:"container"` // open, read
	Readers   map[string][]byte          `json:"readers"`   // seal: agency to public key
	Parts     map[string]json.RawMessage `json:"parts"`     // seal: part to what it says
	Open      map[string][]string        `json:"audience"`  // seal: part to agencies
	Thing     string                     `json:"thing"`     // prove
	Public    []byte                     `json:"public"`    // prove
	Header    []byte                     `json:"header"`    // prove
}

type Answer struct {
	SealedDigest string                     `json:"sealeddigest,omitempty"`
	Kid          string                     `json:"kid,omitempty"`
	Parts        map[string]json.RawMessage `json:"parts,omitempty"`
	Container    []byte                     `json:"container,omitempty"`
	Code         string                     `json:"code,omitempty"` // read, prove: the refusal
	JSON         string                     `json:"json,omitempty"` // prove: the statement
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func lp(values ...string) []byte {
	var out []byte
	for _, value := range values {
		out = binary.BigEndian.AppendUint16(out, uint16(len(value)))
		out = append(out, value...)
	}
	return out
}

func hash(pieces ...[]byte) []byte {
	sum := sha256.Sum256(bytes.Join(pieces, nil))
	return sum[:]
}

func (p Place) aad(part string) []byte {
	return append([]byte("nrmbus/part-aad/v1\x00"), lp(p.Bus, p.Source, p.ID, p.Subject, part)...)
}

func (p Place) info(part, to, kid string) []byte {
	return append([]byte("nrmbus/hpke/v1\x00"), lp(p.Bus, p.Source, p.ID, p.Subject, part, to, kid)...)
}

func (w Wrap) digest() []byte {
	if w.Digest != nil {
		return w.Digest
	}
	return hash([]byte("nrmbus/wrap/v1\x00"), w.Raw)
}

func (p Part) digest() []byte {
	if p.Digest != nil {
		return p.Digest
	}
	pieces := [][]byte{[]byte("nrmbus/part/v1\x00"), lp(p.Name), p.Iv, p.Commit, hash(p.Ct)}
	for _, wrap := range p.Wraps {
		pieces = append(pieces, wrap.digest())
	}
	return hash(pieces...)
}

func (c Container) digest() string {
	pieces := [][]byte{[]byte("nrmbus/letter/v1\x00")}
	for _, part := range c.Parts {
		pieces = append(pieces, part.digest())
	}
	return hex.EncodeToString(hash(pieces...))
}

func kidOf(public []byte) string { return "xwing:" + hex.EncodeToString(hash(public))[:32] }

func commitment(key []byte) []byte { return hash([]byte("nrmbus/commit/v1\x00"), key) }

const begin = "nrl1nrm1"

var (
	names  = []string{"coded", "contact", "health", "identity", "money", "place", "story"}
	agency = regexp.MustCompile(`^[a-z][a-z0-9-]{1,30}$`)
	xwing  = regexp.MustCompile(`^xwing:[0-9a-f]{32}$`)
	sizes  = []int{1024 + 16, 4096 + 16, 16384 + 16, 65536 + 16, 131072 + 16}
)

// reader takes bytes from the front of a container; once something is missing, malformed stays true.
type reader struct {
	raw       []byte
	malformed bool
}

func (r *reader) take(size int) []byte {
	if size > len(r.raw) {
		r.malformed = true
		return make([]byte, min(size, 1168))
	}
	taken := r.raw[:size]
	r.raw = r.raw[size:]
	return taken
}

func (r *reader) text() string { return string(r.take(int(binary.BigEndian.Uint16(r.take(2))))) }

func (r *reader) want(is bool) { r.malformed = r.malformed || !is }

func (r *reader) wrap(last string) Wrap {
	kind := r.take(1)[0]
	if kind == 0 {
		return Wrap{Digest: r.take(32)}
	}
	wrap, before := Wrap{}, r.raw
	wrap.To, wrap.Kid, wrap.W = r.text(), r.text(), r.take(1168)
	wrap.Raw = before[:len(before)-len(r.raw)]
	r.want(kind == 1 && agency.MatchString(wrap.To) && xwing.MatchString(wrap.Kid) && wrap.To > last)
	return wrap
}

func (r *reader) part(last string) Part {
	kind := r.take(1)[0]
	if kind == 0 {
		return Part{Digest: r.take(32)}
	}
	part := Part{Name: r.text(), Iv: r.take(12), Commit: r.take(32)}
	size := int(binary.BigEndian.Uint32(r.take(4)))
	r.want(kind == 1 && slices.Contains(names, part.Name) && part.Name > last && slices.Contains(sizes, size))
	if r.malformed {
		return part
	}
	part.Ct = r.take(size)
	count, to := int(r.take(1)[0]), ""
	r.want(count > 0 && count <= 64)
	for range count {
		wrap := r.wrap(to)
		if wrap.Digest == nil {
			to = wrap.To
		}
		part.Wraps = append(part.Wraps, wrap)
	}
	return part
}

// parse returns a container, or the code of the refusal.
func parse(raw []byte) (Container, string) {
	if len(raw) > 240*1024 {
		return Container{}, "letter_too_large"
	}
	if len(raw) >= 8 && string(raw[:4]) == begin[:4] && string(raw[:8]) != begin {
		return Container{}, "suite_unknown"
	}
	read, container, last := reader{raw: raw}, Container{}, ""
	read.want(string(read.take(8)) == begin)
	count := int(read.take(1)[0])
	read.want(count > 0 && count <= len(names))
	for i := 0; i < count && !read.malformed; i++ {
		part := read.part(last)
		if part.Digest == nil {
			last = part.Name
		}
		container.Parts = append(container.Parts, part)
	}
	read.want(len(read.raw) == 0)
	if read.malformed {
		return Container{}, "letter_malformed"
	}
	return container, ""
}

func (c Container) bytes() []byte {
	out := append([]byte(begin), byte(len(c.Parts)))
	for _, part := range c.Parts {
		out = append(append(append(append(out, 1), lp(part.Name)...), part.Iv...), part.Commit...)
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(part.Ct))), part.Ct...)
		out = append(out, byte(len(part.Wraps)))
		for _, wrap := range part.Wraps {
			out = append(append(out, 1), wrap.Raw...)
		}
	}
	return out
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	check(err)
	aead, err := cipher.NewGCM(block)
	check(err)
	return aead
}

func open(r Request) Answer {
	private, err := hpke.MLKEM768X25519().NewPrivateKey(r.Seed)
	check(err)
	kid := kidOf(private.PublicKey().Bytes())
	container, code := parse(r.Container)
	answer := Answer{SealedDigest: container.digest(), Kid: kid, Code: code, Parts: map[string]json.RawMessage{}}
	for _, part := range container.Parts {
		for _, wrap := range part.Wraps {
			if wrap.To != r.To || wrap.Kid != kid {
				continue
			}
			key, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), r.Place.info(part.Name, wrap.To, kid), wrap.W)
			check(err)
			if !bytes.Equal(commitment(key), part.Commit) {
				check(fmt.Errorf("the part was sealed with another key"))
			}
			plain, err := gcm(key).Open(nil, part.Iv, part.Ct, r.Place.aad(part.Name))
			check(err)
			length := int(binary.BigEndian.Uint32(plain))
			answer.Parts[part.Name] = plain[4 : 4+length]
		}
	}
	return answer
}

func padded(plain []byte) []byte {
	whole := append(binary.BigEndian.AppendUint32(nil, uint32(len(plain))), plain...)
	for _, size := range []int{1, 4, 16, 64, 128} {
		if len(whole) <= size*1024 {
			return append(whole, make([]byte, size*1024-len(whole))...)
		}
	}
	check(fmt.Errorf("the part is too large"))
	return nil
}

func seal(r Request) Answer {
	container := Container{}
	for name, fields := range r.Parts {
		key, iv := make([]byte, 32), make([]byte, 12)
		rand.Read(key)
		rand.Read(iv)
		part := Part{Name: name, Iv: iv, Commit: commitment(key)}
		part.Ct = gcm(key).Seal(nil, iv, padded(fields), r.Place.aad(name))
		slices.Sort(r.Open[name])
		for _, to := range r.Open[name] {
			public, err := hpke.MLKEM768X25519().NewPublicKey(r.Readers[to])
			check(err)
			kid := kidOf(public.Bytes())
			wrapped, err := hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), r.Place.info(name, to, kid), key)
			check(err)
			part.Wraps = append(part.Wraps, Wrap{To: to, Kid: kid, W: wrapped, Raw: append(lp(to, kid), wrapped...)})
		}
		container.Parts = append(container.Parts, part)
	}
	slices.SortFunc(container.Parts, func(a, b Part) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return Answer{SealedDigest: container.digest(), Container: container.bytes()}
}

func read(r Request) Answer {
	container, code := parse(r.Container)
	if code != "" {
		return Answer{Code: code}
	}
	return Answer{SealedDigest: container.digest()}
}

// signed returns the bytes that DSSE signs.
func signed(kind, payload string) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload)
}

// prove verifies a header nrm_registration or nrm_delivery: its bytes lead to a root that the key signed.
func prove(r Request) Answer {
	kinds := map[string]byte{"registration": 1, "delivery": 2}
	raw := r.Header
	if len(raw) < 110 || len(raw) > 64*1024 || string(raw[:4]) != "nrs1" || raw[4] != kinds[r.Thing] {
		return Answer{Code: "signature_profile"}
	}
	salt, place, size, steps := raw[85:101], binary.BigEndian.Uint32(raw[101:]), binary.BigEndian.Uint32(raw[105:]), int(raw[109])
	if place >= size || steps > 32 || len(raw) <= 110+32*steps {
		return Answer{Code: "signature_profile"}
	}
	statement := string(raw[110+32*steps:])
	node := hash([]byte{0}, salt, signed("application/vnd.nrmbus."+r.Thing+".v1+json", statement))
	path := raw[110 : 110+32*steps]
	for last := size - 1; last > 0; place, last = place>>1, last>>1 {
		if place&1 == 0 && place == last {
			continue // no neighbour on this level
		}
		if len(path) == 0 {
			return Answer{Code: "signature_profile"}
		}
		if place&1 == 1 {
			node = hash([]byte{1}, path[:32], node)
		} else {
			node = hash([]byte{1}, node, path[:32])
		}
		path = path[32:]
	}
	if len(path) > 0 {
		return Answer{Code: "signature_profile"}
	}
	if !bytes.Equal(raw[5:21], hash(r.Public)[:16]) {
		return Answer{Code: "key_not_current"}
	}
	payload := fmt.Sprintf(`{"root":"%x","size":%d}`, node, size)
	if !ed25519.Verify(r.Public, signed("application/vnd.nrmbus.transaction.v1+json", payload), raw[21:85]) {
		return Answer{Code: "signature_invalid"}
	}
	return Answer{JSON: statement}
}

func main() {
	var request Request
	check(json.NewDecoder(os.Stdin).Decode(&request))
	answer := map[string]func(Request) Answer{"open": open, "seal": seal, "read": read, "prove": prove}[request.Do](request)
	check(json.NewEncoder(os.Stdout).Encode(answer))
}

// Command oracle opens and seals letters of the bus with Go's standard library alone, from services/nrmbus/wire/README.md.
// It reads one JSON object from standard input ("do": "open" or "seal") and writes one to standard output.
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// Place is the event that a letter belongs to.
type Place struct {
	Bus     string `json:"bus"`
	Source  string `json:"source"`
	ID      string `json:"id"`
	Subject string `json:"subject"`
}

// Wrap and Part have their members in the order of RFC 8785, so that encoding/json writes canonical JSON. Of a part or
// wrap that is hidden in a copy, only Digest is there.
type Wrap struct {
	Digest string `json:"digest,omitempty"`
	Kid    string `json:"kid,omitempty"`
	To     string `json:"to,omitempty"`
	W      []byte `json:"w,omitempty"`
}

type Part struct {
	Commit string `json:"commit,omitempty"`
	Ct     []byte `json:"ct,omitempty"`
	Digest string `json:"digest,omitempty"`
	Iv     []byte `json:"iv,omitempty"`
	Name   string `json:"name,omitempty"`
	Wraps  []Wrap `json:"wraps,omitempty"`
}

type Container struct {
	Parts []Part `json:"parts"`
	Suite string `json:"suite"`
}

type Request struct {
	Do        string                     `json:"do"`
	Place     Place                      `json:"place"`
	Seed      []byte                     `json:"seed"`      // open
	To        string                     `json:"to"`        // open
	Container Container                  `json:"container"` // open
	Readers   map[string][]byte          `json:"readers"`   // seal: agency to public key
	Parts     map[string]json.RawMessage `json:"parts"`     // seal: part to what it says
	Open      map[string][]string        `json:"audience"`  // seal: part to agencies
}

type Answer struct {
	SealedDigest string                     `json:"sealeddigest"`
	Kid          string                     `json:"kid,omitempty"`
	Parts        map[string]json.RawMessage `json:"parts,omitempty"`
	Container    *Container                 `json:"container,omitempty"`
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

func unhex(text string) []byte {
	raw, err := hex.DecodeString(text)
	check(err)
	return raw
}

func (p Place) aad(part string) []byte {
	return append([]byte("nrmbus/part-aad/v1\x00"), lp(p.Bus, p.Source, p.ID, p.Subject, part)...)
}

func (p Place) info(part, to, kid string) []byte {
	return append([]byte("nrmbus/hpke/v1\x00"), lp(p.Bus, p.Source, p.ID, p.Subject, part, to, kid)...)
}

func (w Wrap) digest() []byte {
	if w.Digest != "" {
		return unhex(w.Digest)
	}
	return hash([]byte("nrmbus/wrap/v1\x00"), lp(w.To, w.Kid), w.W)
}

func (p Part) digest() []byte {
	if p.Digest != "" {
		return unhex(p.Digest)
	}
	pieces := [][]byte{[]byte("nrmbus/part/v1\x00"), lp(p.Name), p.Iv, unhex(p.Commit), hash(p.Ct)}
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

func commitment(key []byte) string {
	return hex.EncodeToString(hash([]byte("nrmbus/commit/v1\x00"), key))
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
	answer := Answer{SealedDigest: r.Container.digest(), Kid: kid, Parts: map[string]json.RawMessage{}}
	for _, part := range r.Container.Parts {
		for _, wrap := range part.Wraps {
			if wrap.To != r.To || wrap.Kid != kid {
				continue
			}
			key, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), r.Place.info(part.Name, wrap.To, kid), wrap.W)
			check(err)
			if commitment(key) != part.Commit {
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
	container := Container{Suite: "nrm1"}
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
			part.Wraps = append(part.Wraps, Wrap{To: to, Kid: kid, W: wrapped})
		}
		container.Parts = append(container.Parts, part)
	}
	slices.SortFunc(container.Parts, func(a, b Part) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return Answer{SealedDigest: container.digest(), Container: &container}
}

func main() {
	var request Request
	check(json.NewDecoder(os.Stdin).Decode(&request))
	answer := map[string]func(Request) Answer{"open": open, "seal": seal}[request.Do](request)
	check(json.NewEncoder(os.Stdout).Encode(answer))
}

// Judges a log of the bus with other people's code: golang.org/x/mod/sumdb (tlog, note) and
// github.com/transparency-dev (merkle, formats). One JSON request on standard input, one answer on standard output.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"

	"filippo.io/mldsa"
	"github.com/transparency-dev/formats/log"
	cosign "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type inclusion struct {
	Index, Size int64
	Leaf, Root  []byte
	Proof       [][]byte
}

type consistency struct {
	Old, New int64
	OldRoot  []byte `json:"old_root"`
	NewRoot  []byte `json:"new_root"`
	Proof    [][]byte
}

type signer struct {
	Name string
	Kind byte
	Seed []byte
}

type request struct {
	Leaves      int64         // the log holds "leaf 0", "leaf 1", …
	Origin      string        //
	Signers     []signer      // the first is the log's, and signs the note itself
	Note        string        // a checkpoint of ours
	Altered     []string      // notes that nobody should take
	Inclusion   []inclusion   // proofs of ours, and altered ones
	Consistency []consistency // the same
}

type said struct {
	Name string `json:"name"`
	Id   string `json:"id"`
	Time int64  `json:"time"`
}

type answer struct {
	Root        string   `json:"root"`
	Tiles       int      `json:"tiles"`
	Digest      string   `json:"digest"`
	Vkeys       []string `json:"vkeys"`
	Checkpoint  []any    `json:"checkpoint"`
	Signatures  []said   `json:"signatures"`
	Refused     []bool   `json:"refused"`
	Inclusion   [][2]any `json:"inclusion"`   // the proof by tlog, and whether merkle and tlog take ours
	Consistency [][2]any `json:"consistency"` // the same
	Signed      string   `json:"signed"`
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func main() {
	var in request
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		must(0, err)
	}
	var out answer
	var stored hashes
	var leaves [][]byte
	for index := int64(0); index < in.Leaves; index++ {
		leaf := fmt.Appendf(nil, "leaf %d", index)
		leaves = append(leaves, leaf)
		stored = append(stored, must(tlog.StoredHashes(index, leaf, stored))...)
	}
	root := must(tlog.TreeHash(in.Leaves, stored))
	out.Root = base64.StdEncoding.EncodeToString(root[:])
	out.Tiles, out.Digest = tiles(in.Leaves, leaves, stored)
	verifiers, signers := keys(in.Signers, &out)

	opened := must(note.Open([]byte(in.Note), note.VerifierList(verifiers...)))
	point, _, _, err := log.ParseCheckpoint([]byte(in.Note), in.Origin, verifiers[0], verifiers[1:]...)
	must(0, err)
	out.Checkpoint = []any{point.Origin, point.Size, base64.StdEncoding.EncodeToString(point.Hash)}
	for _, each := range opened.Sigs {
		out.Signatures = append(out.Signatures, said{each.Name, fmt.Sprintf("%08x", each.Hash), seconds(each)})
	}
	for _, each := range in.Altered {
		_, err := note.Open([]byte(each), note.VerifierList(verifiers...))
		_, _, _, err2 := log.ParseCheckpoint([]byte(each), in.Origin, verifiers[0])
		out.Refused = append(out.Refused, err != nil || err2 != nil)
	}
	for _, each := range in.Inclusion {
		var made any
		if 0 <= each.Index && each.Index < each.Size && each.Size <= in.Leaves {
			made = must(tlog.ProveRecord(each.Size, each.Index, stored))
		}
		one := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(each.Index), uint64(each.Size), each.Leaf, each.Proof, each.Root)
		two := tlog.CheckRecord(list(each.Proof), each.Size, hash(each.Root), each.Index, hash(each.Leaf))
		out.Inclusion = append(out.Inclusion, [2]any{made, []bool{one == nil, two == nil}})
	}
	for _, each := range in.Consistency {
		var made any
		if 0 < each.Old && each.Old <= each.New && each.New <= in.Leaves {
			made = must(tlog.ProveTree(each.New, each.Old, stored))
		}
		one := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(each.Old), uint64(each.New), each.Proof, each.OldRoot, each.NewRoot)
		two := tlog.CheckTree(list(each.Proof), each.New, hash(each.NewRoot), each.Old, hash(each.OldRoot))
		out.Consistency = append(out.Consistency, [2]any{made, []bool{one == nil, two == nil}})
	}
	text := log.Checkpoint{Origin: in.Origin, Size: uint64(in.Leaves), Hash: root[:]}.Marshal()
	out.Signed = string(must(note.Sign(&note.Note{Text: string(text)}, signers...)))
	must(0, json.NewEncoder(os.Stdout).Encode(out))
}

type hashes []tlog.Hash

func (stored hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, index := range indexes {
		found = append(found, stored[index])
	}
	return found, nil
}

func hash(raw []byte) (made tlog.Hash) {
	copy(made[:], raw)
	return made
}

func list(raw [][]byte) (made []tlog.Hash) {
	for _, each := range raw {
		made = append(made, hash(each))
	}
	return made
}

// tiles makes each tile and bundle anew, and one digest of all of them.
func tiles(size int64, leaves [][]byte, stored hashes) (int, string) {
	found := map[string][]byte{}
	for _, tile := range tlog.NewTiles(height, 0, size) {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		found[path] = must(tlog.ReadTileData(tile, stored))
		if tile.L == 0 {
			var bundle bytes.Buffer
			for _, leaf := range leaves[tile.N<<height : tile.N<<height+int64(tile.W)] {
				must(0, binary.Write(&bundle, binary.BigEndian, uint16(len(leaf))))
				bundle.Write(leaf)
			}
			found[strings.Replace(path, "tile/0/", "tile/entries/", 1)] = bundle.Bytes()
		}
	}
	var lines []string
	for path, raw := range found {
		lines = append(lines, fmt.Sprintf("%s %x\n", path, sha256.Sum256(raw)))
	}
	sort.Strings(lines)
	return len(lines), fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(lines, ""))))
}

// keys makes of each seed a verifier key, a verifier and a signer.
func keys(seeds []signer, out *answer) (verifiers []note.Verifier, signers []note.Signer) {
	for _, each := range seeds {
		var public []byte
		if each.Kind == 6 {
			public = must(mldsa.NewPrivateKey(mldsa.MLDSA44(), each.Seed)).PublicKey().Bytes()
		} else {
			public = ed25519.NewKeyFromSeed(each.Seed).Public().(ed25519.PublicKey)
		}
		material := append([]byte{each.Kind}, public...)
		sum := sha256.Sum256(append([]byte(each.Name+"\n"), material...))
		id := fmt.Sprintf("%x", sum[:4])
		vkey := each.Name + "+" + id + "+" + base64.StdEncoding.EncodeToString(material)
		skey := "PRIVATE+KEY+" + each.Name + "+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{each.Kind}, each.Seed...))
		out.Vkeys = append(out.Vkeys, vkey)
		if each.Kind == 1 {
			verifiers = append(verifiers, must(note.NewVerifier(vkey)))
			signers = append(signers, must(note.NewSigner(skey)))
		} else {
			verifiers = append(verifiers, must(cosign.NewVerifierForCosignatureV1(vkey)))
			signers = append(signers, must(cosign.NewSignerForCosignatureV1(skey)))
		}
	}
	return verifiers, signers
}

// seconds is when a cosignature was made, 0 for a signature that does not say.
func seconds(signature note.Signature) int64 {
	if raw := must(base64.StdEncoding.DecodeString(signature.Base64)); len(raw) == 4+ed25519.SignatureSize {
		return 0
	}
	return must(cosign.CoSigV1Timestamp(signature)).Unix()
}

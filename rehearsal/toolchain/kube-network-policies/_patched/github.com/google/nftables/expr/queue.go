package expr

import (
	"errors"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// QueueFlag is a flag of nftables' own `queue`, which xtables' NFQUEUE has with the same values.
type QueueFlag uint16

// What becomes of a packet when nobody listens to the queue: it passes; and which CPU's queue it goes to.
const (
	QueueFlagBypass QueueFlag = unix.NFT_QUEUE_FLAG_BYPASS
	QueueFlagFanout QueueFlag = unix.NFT_QUEUE_FLAG_CPU_FANOUT
)

// Queue hands packets to a program, here as xtables' target NFQUEUE: some kernels have that one and not nftables' own
// expression (CONFIG_NFT_QUEUE). What is queued, and by which rule, stays the same.
type Queue struct {
	Num   uint16
	Total uint16
	Flag  QueueFlag
}

func (e *Queue) target() *Target {
	// struct xt_NFQ_info_v3: three numbers of 16 bits in the machine's order, filled up to the alignment of xtables.
	info := make(xt.Unknown, 0, 8)
	for _, number := range []uint16{e.Num, max(e.Total, 1), uint16(e.Flag), 0} {
		info = append(info, binaryutil.NativeEndian.PutUint16(number)...)
	}
	return &Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}

func (e *Queue) marshal(fam byte) ([]byte, error) {
	return e.target().marshal(fam)
}

func (e *Queue) marshalData(fam byte) ([]byte, error) {
	return e.target().marshalData(fam)
}

func (e *Queue) unmarshal(byte, []byte) error {
	return errors.New("no rule of ours has nftables' own queue")
}

# Arrays, globbing, traps, job control and pipes through the common tools.
set -euo pipefail
trap 'echo bye' EXIT
declare -A count=()
for n in $(seq 1 3000); do
    word="word$((n * 7919 % 211))"
    count[$word]=$((${count[$word]:-0} + n))
done
for word in "${!count[@]}"; do echo "$word ${count[$word]}"; done | sort -k2,2n -k1,1 | tail -n 3

seq 1 60000 | awk '{ print ($1 * 16807) % 60013, "line", $1 }' > numbers
sort -n numbers | cut -d' ' -f1,3 | tee sorted | sed 's/ /-/' | grep -E '7-.*3$' | tr 0-9 a-j | uniq | wc -lc
join <(sort numbers) <(sort sorted) | sha256sum | cut -c1-16
paste -d, sorted numbers | sed -n 15001,20000p | rev | fold -w 17 | nl | md5sum
comm -12 <(cut -d' ' -f1 sorted | sort) <(seq 1 3 60000 | sort) | wc -l
xargs -n 50 -P 4 echo < sorted | wc -w
mkdir -p many && (cd many && seq 1 400 | xargs touch)
printf '%s\n' many/*7 | wc -l
find many -name '*1*' -exec basename {} \; | sort -n | tail -n 1
jobs=()
for n in 1 2 3 4; do (for i in $(seq 1 200); do printf -v text '%0200d' "$i"; done; echo "${#text}" > "job$n") & jobs+=($!); done
wait "${jobs[@]}"
cat job1 job2 job3 job4 | paste -sd+
factor 1000000007 600851475143
printf '%d\n' "$(dd if=/dev/zero bs=1M count=8 status=none | gzip -1 | gunzip | wc -c)"
